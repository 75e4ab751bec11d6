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

// step measures an arm once in a round.
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
	{"open", []string{report.OpenP99, report.OpenP999}, open},
	{"conn", []string{report.ConnCPU, report.ConnCPUAll}, connections},
	{"beside", []string{report.AloneP99, report.BesideP99}, beside},
	{"held", []string{report.HeldTime, report.HeldLost, report.HeldMem, report.HeldMemOwn}, held},
	{"balance", []string{report.Balance}, spread},
}

// idleMetrics are of connections that nothing passes.
var idleMetrics = []string{report.IdleMem, report.IdleMemOwn, report.IdleFDs}

// wants reports whether one of the metrics is asked for.
func (o options) wants(metrics []string) bool {
	return slices.ContainsFunc(metrics, func(m string) bool { return slices.Contains(o.metrics, m) })
}

// stepsWanted are those of which at least one metric is.
func (o options) stepsWanted() []step {
	return slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return !o.wants(s.metrics) })
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

func connections(ctx context.Context, s *setting, a *arm, slice time.Duration) (values, error) {
	r, err := s.do(ctx, a, load.Job{Kind: load.Connect, Address: a.echo, Warm: warmUp, For: slice})
	return a.cpu(report.ConnCPU, report.ConnCPUAll, r, r.Units, time.Microsecond), err
}

// cpu is the CPU time that the proxy and all parties used for each of the units.
func (a *arm) cpu(own, all string, r load.Result, units float64, unit time.Duration) values {
	v := values{all: in(unit, r.All) / units}
	if a.Process != nil {
		v[own] = in(unit, r.Proxy) / units
	}
	return v
}

func in(unit, d time.Duration) float64 { return float64(d) / float64(unit) }
