package main

import (
	"context"
	"slices"
	"time"

	"tpa.dev/tpa/test/bench/load"
	"tpa.dev/tpa/test/bench/report"
)

// values are samples by metric.
type values map[string]float64

// step measures one arm once.
type step struct {
	name string
	// metrics are what measure yields; of the direct arm, those that need no proxy.
	metrics []string
	measure func(ctx context.Context, s *setting, a *arm, slice time.Duration) (values, error)
}

// steps are in the order in which a round takes them.
var steps = []step{
	{"bulk", []string{report.BulkCPU, report.BulkCPUAll}, bulk(1, report.BulkCPU, report.BulkCPUAll)},
	{"bulk200", []string{report.Bulk200CPU, report.Bulk200CPUAll}, bulk(200, report.Bulk200CPU, report.Bulk200CPUAll)},
	{"rr", []string{report.RRP50, report.RRCPU, report.RRCPUAll}, roundTrip},
	{"conn", []string{report.ConnCPU, report.ConnCPUAll}, connect},
}

// stepsFor returns the steps that yield at least one of the metrics; all, if none is named.
func stepsFor(metrics []string) []step {
	return slices.DeleteFunc(slices.Clone(steps), func(s step) bool {
		return len(metrics) > 0 && !slices.ContainsFunc(s.metrics, func(m string) bool { return slices.Contains(metrics, m) })
	})
}

func bulk(streams int, own, all string) func(context.Context, *setting, *arm, time.Duration) (values, error) {
	return func(ctx context.Context, s *setting, a *arm, slice time.Duration) (values, error) {
		r, err := s.do(ctx, a, load.Job{Kind: load.Bulk, Address: a.bulk, Conns: streams, Warm: warmUp, For: slice})
		gib := r.Units / (1 << 30)
		return a.cpu(own, all, r, gib, time.Millisecond), err
	}
}

func roundTrip(ctx context.Context, s *setting, a *arm, slice time.Duration) (values, error) {
	r, err := s.do(ctx, a, load.Job{Kind: load.RoundTrip, Address: a.echo, Warm: warmUp, For: slice})
	v := a.cpu(report.RRCPU, report.RRCPUAll, r, r.Units, time.Microsecond)
	v[report.RRP50] = in(time.Microsecond, r.Latency.P50)
	return v, err
}

func connect(ctx context.Context, s *setting, a *arm, slice time.Duration) (values, error) {
	r, err := s.do(ctx, a, load.Job{Kind: load.Connect, Address: a.echo, Warm: warmUp, For: slice})
	return a.cpu(report.ConnCPU, report.ConnCPUAll, r, r.Units, time.Microsecond), err
}

// cpu is the CPU time that the proxy and all parties used for each of the units.
func (a *arm) cpu(own, all string, r load.Result, units float64, unit time.Duration) values {
	v := values{all: in(unit, r.All) / units}
	if len(a.proxy) > 0 {
		v[own] = in(unit, r.Proxy) / units
	}
	return v
}

func in(unit, d time.Duration) float64 { return float64(d) / float64(unit) }
