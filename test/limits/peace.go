package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/test/bench/meter"
	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/test/stat"
)

// settled is for how long a proxy must ask for nothing to have nothing left to do.
const settled = 3 * time.Second

// requests returns the pair's requests since a mark, and the mark behind them.
func (c *calmness) requests(mark int64) ([]auditv1.Event, int64, error) {
	events, next, err := c.w.audit.Since(mark)
	return slices.DeleteFunc(events, func(e auditv1.Event) bool { return e.User.Username != proxyUser(c.full.namespace) }), next, err
}

// settle waits until the pair has asked for nothing for a while.
func (c *calmness) settle(ctx context.Context) error {
	mark, err := c.w.audit.Mark()
	if err != nil {
		return err
	}
	last := time.Now()
	return kit.Wait(ctx, 5*time.Minute, "the proxies to have nothing left to do", func(context.Context) (bool, string) {
		events, next, err := c.requests(mark)
		if err != nil {
			return false, err.Error()
		}
		mark = next
		for i := range events {
			if events[i].Verb != "watch" {
				last = events[i].StageTimestamp.Time
			}
		}
		return time.Since(last) > settled, fmt.Sprintf("the last request was %s ago", time.Since(last))
	})
}

// counted tells what the pair asked for while something was done, until it had nothing left to do, and what it is then.
func (c *calmness) counted(what string, do func() error) error {
	mark, err := c.w.audit.Mark()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := do(); err != nil {
		return err
	}
	took := time.Since(began) - settled
	events, _, err := c.requests(mark)
	if err != nil {
		return err
	}
	c.row(what, "%.1f s, %s, at most %d at once", took.Seconds(), kinds(events), atOnce(events))
	if limit := 8 * len(c.pair); atOnce(events) > limit+2*len(c.pair) {
		return fmt.Errorf("%d requests were under way at once, at most %d and those of a watch are allowed", atOnce(events), limit)
	}
	for i, p := range c.pair {
		f, err := p.footprint(context.Background())
		if err != nil {
			return err
		}
		cpu, err := meter.CPU(p.PID())
		if err != nil {
			return err
		}
		c.row(fmt.Sprintf("  proxy %d after that", i+1), "%s; %.1f s of CPU since its start", f, cpu.Seconds())
	}
	return nil
}

// kinds counts requests.
func kinds(events []auditv1.Event) string {
	n := map[string]int{}
	for i := range events {
		n[apiserver.Kind(&events[i])]++
	}
	var each []string
	for _, kind := range slices.Sorted(maps.Keys(n)) {
		each = append(each, fmt.Sprintf("%d %s", n[kind], kind))
	}
	if len(each) == 0 {
		return "no requests"
	}
	return strings.Join(each, ", ")
}

// atOnce is how many requests were under way at one time. Watches are left out.
func atOnce(events []auditv1.Event) int {
	type edge struct {
		at   time.Time
		step int
	}
	var edges []edge
	for _, e := range events {
		if e.Verb != "watch" {
			edges = append(edges, edge{e.RequestReceivedTimestamp.Time, 1}, edge{e.StageTimestamp.Time, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.step - b.step
	})
	now, most := 0, 0
	for _, e := range edges {
		now += e.step
		most = max(most, now)
	}
	return most
}

// peaceful measures a time in which nothing happens. What the pair asks for then, but to watch on, is an error.
func (c *calmness) peaceful(what string) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := c.settle(ctx); err != nil {
			return err
		}
		mark, err := c.w.audit.Mark()
		if err != nil {
			return err
		}
		var before, after time.Duration
		pids := []int{c.pair[0].PID(), c.pair[1].PID()}
		if before, err = meter.CPU(pids...); err != nil {
			return err
		}
		if err := sleepFor(ctx, c.peace); err != nil {
			return err
		}
		if after, err = meter.CPU(pids...); err != nil {
			return err
		}
		events, _, err := c.requests(mark)
		if err != nil {
			return err
		}
		minutes := c.peace.Minutes()
		c.row(what+", nothing happens", "%.0f ms of CPU a minute for each proxy; in %s %s",
			float64((after-before).Milliseconds())/minutes/2, c.peace, kinds(events))
		for i := range events {
			if events[i].Verb != "watch" {
				return fmt.Errorf("a request while nothing happens: %s %s", apiserver.Kind(&events[i]), events[i].RequestURI)
			}
		}
		for i, p := range c.pair {
			f, err := p.footprint(ctx)
			if err != nil {
				return err
			}
			c.row(fmt.Sprintf("  proxy %d", i+1), "%s", f)
		}
		return nil
	}
}

// wake is what a wake took, and the part of it after the pod became ready.
type wake struct{ all, ready time.Duration }

// wakes compares wakes of one Service among many with those of the one in the other namespace.
func (c *calmness) wakes(ctx context.Context) error {
	var all, ready []float64
	var full, empty []wake
	for range c.rounds {
		here, err := c.wakeOnce(ctx, c.full, c.pair[0])
		if err != nil {
			return err
		}
		there, err := c.wakeOnce(ctx, c.empty, c.single)
		if err != nil {
			return err
		}
		full, empty = append(full, here), append(empty, there)
		all = append(all, float64(here.all)/float64(there.all))
		ready = append(ready, float64(here.ready)/float64(there.ready))
	}
	at := func(wakes []wake, of func(wake) time.Duration, q float64) string {
		took := make([]time.Duration, len(wakes))
		for i, w := range wakes {
			took[i] = of(w)
		}
		return ms(quantile(took, q))
	}
	for _, part := range []struct {
		what   string
		of     func(wake) time.Duration
		ratios []float64
	}{
		{"one of them woken, to the answer", func(w wake) time.Duration { return w.all }, all},
		{"  from the pod's readiness on", func(w wake) time.Duration { return w.ready }, ready},
	} {
		c.row(part.what, "p50 %s ms, most %s ms; in an empty namespace %s, %s; ratio %s", at(full, part.of, .5), at(full, part.of, 1),
			at(empty, part.of, .5), at(empty, part.of, 1), stat.SpreadOf(part.ratios))
	}
	return nil
}

// wakeOnce waits until the Service sleeps, and wakes it.
func (c *calmness) wakeOnce(ctx context.Context, f *fleet, p *proxy) (wake, error) {
	err := kit.Wait(ctx, time.Minute, napApp+" to be asleep", func(ctx context.Context) (bool, string) {
		m, err := p.metrics(ctx)
		return err == nil && m[fmt.Sprintf("tpa_target_asleep{namespace=%q,target=%q}", f.namespace, "deployment/"+napApp)] == 1, fmt.Sprint(err)
	})
	if err != nil {
		return wake{}, err
	}
	// The pod's end comes after the target's: until it is known, the pod counts as ready, though not as one to connect to.
	if err := sleepFor(ctx, 200*time.Millisecond); err != nil {
		return wake{}, err
	}
	began := time.Now()
	if err := exchange(f.addresses(p, napApp)[0], message(uint64(began.UnixNano()))); err != nil {
		return wake{}, fmt.Errorf("wake %s/%s: %w", f.namespace, napApp, err)
	}
	end := time.Now()
	return wake{end.Sub(began), end.Sub(f.wasReady(napApp))}, nil
}
