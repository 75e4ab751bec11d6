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

// held measures how soon all connections that a proxy of TPA has held are answered, from the pod's readiness on, beside the
// same connections made to the server itself, from the first connect on.
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
	defer h.stop()
	job.Address = h.echo
	done := make(chan error, 1)
	var r load.Result
	go func() {
		var err error
		r, err = s.do(ctx, h.arm, job)
		done <- err
	}()
	if err := h.holds(ctx, heldConns); err != nil {
		return nil, err
	}
	ready := time.Now()
	if err := h.cluster.ready(ctx); err != nil {
		return nil, err
	}
	if err := <-done; err != nil {
		return nil, err
	}
	return values{report.HeldTime: in(time.Millisecond, r.Ended.Sub(ready)), report.HeldLost: r.Lost}, nil
}
