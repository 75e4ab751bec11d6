package main

import (
	"context"
	"time"

	"tpa.dev/tpa/test/bench/load"
	"tpa.dev/tpa/test/bench/report"
)

// heldConns are held at once: what a burst brings to a Service that sleeps.
const heldConns = 5000

// heldAtOnce is how many connects are under way at once. Package backend allows as many towards one backend.
const heldAtOnce = 64

// held measures how soon the connections that a proxy of TPA holds are answered, from the pod's readiness to the last
// answer; and what each takes until then. The direct arm's are made at the proxy's own pace, and measured from the first
// connect on.
func held(ctx context.Context, s *setting, a *arm, _ time.Duration) (values, error) {
	job := load.Job{Kind: load.Answers, Address: a.echo, Conns: heldConns, AtOnce: heldAtOnce}
	if a.name == report.Direct {
		r, err := s.do(ctx, a, job)
		return values{report.HeldTime: in(time.Millisecond, r.Wall)}, err
	}
	b, ok := s.buildOf(a)
	if !ok {
		return nil, nil // other proxies hold nothing
	}
	h, err := s.startHolder(ctx, b)
	if err != nil {
		return nil, err
	}
	defer h.Stop()
	job.Address = h.echo
	return s.release(ctx, h, job)
}

// release has a proxy hold the job's connections, and makes the pod ready once it does.
func (s *setting) release(ctx context.Context, h *holder, job load.Job) (values, error) {
	empty, err := h.footprint()
	if err != nil {
		return nil, err
	}
	var r load.Result
	done := make(chan error, 1)
	go func() {
		var err error
		r, err = s.do(ctx, h.arm, job)
		done <- err
	}()
	if err := h.holds(ctx, job.Conns); err != nil {
		return nil, err
	}
	full, err := h.footprint()
	if err != nil {
		return nil, err
	}
	ready := time.Now()
	if err := h.cluster.ready(ctx); err != nil {
		return nil, err
	}
	if err := <-done; err != nil {
		return nil, err
	}
	each := func(n int64) float64 { return float64(n) / float64(job.Conns) / (1 << 10) }
	return values{
		report.HeldTime:   in(time.Millisecond, r.Ended.Sub(ready)),
		report.HeldLost:   r.Lost,
		report.HeldMem:    each(full.own + full.kernel - empty.own - empty.kernel),
		report.HeldMemOwn: each(full.own - empty.own),
	}, nil
}
