package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"tpa.dev/tpa/test/bench/sandbox"
	"tpa.dev/tpa/test/kit"
)

// badBackends measures another Service while many wait for one whose backend refuses, drops what connects, or is slow.
func (s *siege) badBackends(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		before, err := s.p.footprint(ctx)
		if err != nil {
			return err
		}
		l, err := s.meanwhile(ctx, func() error {
			_, err := s.crowd.do(job{Op: "open", Addresses: s.f.addresses(s.p, name), Conns: s.held, AtOnce: s.held, Way: ask})
			if err != nil {
				return err
			}
			return sleepFor(ctx, 5*time.Second)
		})
		if err != nil {
			return err
		}
		s.row(fmt.Sprintf("another Service while %d wait for a backend that %s", s.held, map[string]string{
			"refuses": "refuses", "drops": "drops what connects", "slow": "takes 2 s",
		}[name]), "%s", l.beside(s.calm))
		if err := s.clear(ctx, before); err != nil {
			return err
		}
	}
	return nil
}

// flood takes all connections that a Service may have. Another one, and the API server, must be reached as before.
func (s *siege) flood(ctx context.Context) error {
	before, err := s.p.footprint(ctx)
	if err != nil {
		return err
	}
	base, err := s.crowd.do(job{Op: "tally"})
	if err != nil {
		return err
	}
	was, err := s.p.metrics(ctx)
	if err != nil {
		return err
	}
	peak := s.p.watchPeak()
	var t tally
	l, err := s.meanwhile(ctx, func() (err error) {
		t, err = s.openUntil(ctx, job{Addresses: s.f.addresses(s.p, floodApp), Conns: s.conns, AtOnce: s.conns / 40, Way: ask},
			func(t tally, m kit.Metrics) bool {
				refused := refusals(m, floodApp) - refusals(was, floodApp)
				return t.Waiting == 0 && t.Refused-base.Refused == refused && t.Answered-base.Answered+refused == s.conns
			})
		return err
	})
	if err != nil {
		return err
	}
	after := latenciesOf(t.RefusedAfter[len(base.RefusedAfter):])
	t = t.sub(base)
	s.row(fmt.Sprintf("%d connections to a Service that is awake, %d descriptors", s.conns, s.conns),
		"%d answered, %d refused, and counted as that", t.Answered, t.Refused)
	s.row("  refused after", "%s", after)
	s.row("  another Service meanwhile", "%s", l.beside(s.calm))
	began := time.Now()
	s.f.byHand(false)
	if err := exchange(s.f.addresses(s.p, wakeApp)[0], message(1)); err != nil {
		return fmt.Errorf("a sleeping Service cannot be woken meanwhile: %w", err)
	}
	s.f.byHand(true)
	s.row("  a sleeping Service woken meanwhile", "after %d ms", time.Since(began).Milliseconds())
	s.row("  most", "%s", peak())
	return s.clear(ctx, before)
}

// dawdlers are clients that send a byte a second, and clients that never read what they are sent.
func (s *siege) dawdlers(ctx context.Context) error {
	before, err := s.p.footprint(ctx)
	if err != nil {
		return err
	}
	for _, d := range []struct {
		way, app, what string
		clients        int
	}{
		{trickle, trickleApp, "%d clients that send a byte a second", s.held},
		{deaf, deafApp, "%d clients that never read a stream", 100}, // each takes as much as the kernel lets a connection have
	} {
		peak := s.p.watchPeak()
		l, err := s.meanwhile(ctx, func() error {
			_, err := s.crowd.do(job{Op: "open", Addresses: s.f.addresses(s.p, d.app), Conns: d.clients, AtOnce: d.clients, Way: d.way})
			if err != nil {
				return err
			}
			return sleepFor(ctx, 5*time.Second)
		})
		if err != nil {
			return err
		}
		s.row(fmt.Sprintf(d.what, d.clients), "%s", peak())
		s.row("  another Service meanwhile", "%s", l.beside(s.calm))
		if err := s.clear(ctx, before); err != nil {
			return err
		}
	}
	return nil
}

// vanished are clients whose network goes, so that nothing of them is ever heard again, in the middle of a connection or while
// they are held.
func (s *siege) vanished(ctx context.Context) error {
	before, err := s.p.footprint(ctx)
	if err != nil {
		return err
	}
	for _, app := range []string{vanishApp, goneApp} {
		_, err := s.crowd.do(job{Op: "open", Addresses: s.f.addresses(s.p, app), Conns: s.held, AtOnce: s.held, Way: ask})
		if err != nil {
			return err
		}
	}
	if err := s.holds(ctx, s.held); err != nil {
		return err
	}
	if err := sandbox.Command("ip", "link", "set", clientLink, "down"); err != nil {
		return err
	}
	began := time.Now()
	if err := s.holds(ctx, 0); err != nil {
		return err
	}
	s.row(fmt.Sprintf("%d held clients that vanished", s.held), "their places were free after %.0f s, the Service's wake time-out is 5 s",
		time.Since(began).Seconds())
	if !s.patient {
		return nil
	}
	if err := s.back(ctx, 3*time.Minute, before); err != nil {
		return err
	}
	s.row(fmt.Sprintf("%d clients that vanished in a connection", s.held), "nothing was left of them after %.0f s", time.Since(began).Seconds())
	return nil
}
