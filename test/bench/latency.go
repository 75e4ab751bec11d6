package main

import (
	"context"
	"fmt"
	"time"

	"tpa.dev/tpa/test/bench/load"
	"tpa.dev/tpa/test/bench/report"
)

// openConns is how many connections the messages of an open loop are spread over.
const openConns = 64

// open measures latency at half of what the default HAProxy can do here at most, the same rate for all arms.
func open(ctx context.Context, s *setting, a *arm, slice time.Duration) (values, error) {
	if s.rate == 0 {
		rate, err := s.saturation(ctx)
		if err != nil {
			return nil, err
		}
		s.rate = rate
		say("  half of saturation: %.0f messages/s", rate/2)
	}
	r, err := s.do(ctx, a, s.openJob(a, openConns, s.rate/2, slice))
	return values{report.OpenP99: in(time.Microsecond, r.Latency.P99), report.OpenP999: in(time.Microsecond, r.Latency.P999)}, err
}

// openJob has the same times for all arms of a round.
func (s *setting) openJob(a *arm, conns int, rate float64, slice time.Duration) load.Job {
	return load.Job{
		Kind: load.Open, Address: a.echo, Conns: conns, Rate: rate, Seed: s.seed + uint64(s.round), Warm: warmUp, For: slice,
	}
}

// saturation is how many messages a second HAProxy sends to and fro.
func (s *setting) saturation(ctx context.Context) (float64, error) {
	for _, a := range s.arms {
		if a.name == report.HAProxy {
			r, err := s.do(ctx, a, load.Job{
				Kind: load.Saturate, Address: a.echo, Conns: openConns, Warm: warmUp, For: s.slice,
			})
			return r.Units / r.Wall.Seconds(), err
		}
	}
	return 0, fmt.Errorf("the rate of an open loop is half of what %s can do: that arm is needed", report.HAProxy)
}

// What a few clients send that are not there to load anything.
const (
	fewConns = 8
	fewRate  = 1000
)

// beside measures the latency of few messages, first by themselves, then while a stream goes through the same proxy.
func beside(ctx context.Context, s *setting, a *arm, slice time.Duration) (values, error) {
	alone, err := s.do(ctx, a, s.openJob(a, fewConns, fewRate, slice))
	if err != nil {
		return nil, err
	}
	streamed := make(chan error, 1)
	go func() {
		_, err := s.doBy(ctx, s.neighbor, a, load.Job{Kind: load.Bulk, Address: a.bulk, Conns: 1, For: 2*warmUp + slice})
		streamed <- err
	}()
	beside, err := s.do(ctx, a, s.openJob(a, fewConns, fewRate, slice))
	if streamErr := <-streamed; err == nil {
		err = streamErr
	}
	return values{
		report.AloneP99: in(time.Microsecond, alone.Latency.P99), report.BesideP99: in(time.Microsecond, beside.Latency.P99),
	}, err
}
