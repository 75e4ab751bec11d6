package main

import (
	"context"
	"fmt"
	"time"

	"tpa.dev/tpa/test/bench/load"
	"tpa.dev/tpa/test/bench/meter"
	"tpa.dev/tpa/test/bench/report"
)

// footprint is what a proxy holds, in bytes.
type footprint struct {
	own, kernel int64
	descriptors int
}

// footprints are read after some quiet, in which what is only left over is given back.
func (s *setting) footprints(ctx context.Context) (map[*arm]footprint, error) {
	select {
	case <-time.After(s.quiet):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	all := map[*arm]footprint{}
	for _, a := range s.arms {
		if a.Process == nil {
			continue
		}
		f, err := a.footprint()
		if err != nil {
			return nil, err
		}
		all[a] = f
	}
	return all, nil
}

func (a *arm) footprint() (f footprint, err error) {
	if f.own, err = meter.Memory(a.proxy...); err != nil {
		return f, fmt.Errorf("memory of %s: %w", a.name, err)
	}
	if f.kernel, err = a.group.Kernel(); err != nil {
		return f, fmt.Errorf("memory of %s: %w", a.name, err)
	}
	if f.descriptors, err = meter.Descriptors(a.proxy...); err != nil {
		return f, fmt.Errorf("%s: %w", a.name, err)
	}
	return f, nil
}

// measureEmpty reads what a proxy takes that never had a connection but to see whether it answers. It must be the only
// one: pages of programs and libraries are shared among all that use them.
func (s *setting) measureEmpty(ctx context.Context) (map[*arm]values, error) {
	all, err := s.footprints(ctx)
	found := map[*arm]values{}
	for a, f := range all {
		found[a] = values{report.EmptyPSS: float64(f.own) / (1 << 20)}
	}
	return found, err
}

// measureIdle compares proxies that never had a connection but to see whether they answer with what they hold for idle
// connections, all at once.
func (s *setting) measureIdle(ctx context.Context) (map[*arm]values, error) {
	say("%s: empty proxies, quiet for %s", s.name, s.quiet)
	empty, err := s.footprints(ctx)
	if err != nil {
		return nil, err
	}
	say("%s: %d idle connections to each, quiet for %s", s.name, s.idle, s.quiet)
	for a := range empty {
		if _, err := s.do(ctx, a, load.Job{Kind: load.Hold, Address: a.echo, Conns: s.idle}); err != nil {
			return nil, err
		}
	}
	full, err := s.footprints(ctx)
	if err != nil {
		return nil, err
	}
	found := map[*arm]values{}
	for a, before := range empty {
		after, each := full[a], func(n int64) float64 { return float64(n) / float64(s.idle) }
		found[a] = values{
			report.IdleMem:    each(after.own+after.kernel-before.own-before.kernel) / (1 << 10),
			report.IdleMemOwn: each(after.own-before.own) / (1 << 10),
			report.IdleFDs:    each(int64(after.descriptors - before.descriptors)),
		}
	}
	return found, nil
}
