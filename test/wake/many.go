package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/test/stat"
)

const (
	// manyIdle is far above what lies between the last answer and the end of all connections.
	manyIdle = 5 * time.Second
	// manyPoll is how often each of many clients asks. At every 10 ms, their attempts alone would keep a processor busy, and
	// what is 50 ms on average is little of a wake among so many.
	manyPoll = 100 * time.Millisecond
)

// many measures wakes of many apps at once.
func many(ctx context.Context, c *kit.Cluster, o options, out io.Writer) (err error) {
	w, remove, err := newWorld(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	m := &crowd{world: w, address: map[string]string{}}
	for i := range o.many {
		m.through = append(m.through, fmt.Sprintf("tpa-%d", i))
		m.byHand = append(m.byHand, fmt.Sprintf("hand-%d", i))
	}
	if err := m.setUp(ctx, o); err != nil {
		return err
	}
	// The first time that so many pods start on these nodes takes twice as long, whoever scales.
	if _, err := m.round(ctx, false); err != nil {
		return fmt.Errorf("round 0: %w", err)
	}
	var tpa, hand []time.Duration // all, of all rounds
	var lines []woken
	var medians, slowest []float64
	for round := range o.manyRounds {
		var took [2][]time.Duration // through TPA, by hand
		for i := range took {
			turn := (round + i) % len(took)
			start := time.Now()
			if took[turn], err = m.round(ctx, turn == 0); err != nil {
				return fmt.Errorf("round %d: %w", round+1, err)
			}
			if turn != 0 {
				continue
			}
			more, err := m.woken(ctx, o.many, start)
			if err != nil {
				return fmt.Errorf("round %d: %w", round+1, err)
			}
			lines = append(lines, more...)
		}
		fmt.Fprintf(out, "%d at once, round %d: through TPA %s; by hand %s\n", o.many, round+1, spread(took[0]), spread(took[1]))
		tpa, hand = append(tpa, took[0]...), append(hand, took[1]...)
		medians = append(medians, float64(stat.Median(took[0]))/float64(stat.Median(took[1])))
		slowest = append(slowest, float64(slices.Max(took[0]))/float64(slices.Max(took[1])))
	}
	fmt.Fprintf(out, "%d at once, %d wakes each: through TPA %s; by hand %s; ratio of the medians %s, of the slowest %s\n",
		o.many, len(tpa), spread(tpa), spread(hand), stat.SpreadOf(medians), stat.SpreadOf(slowest))
	return stagesOfMany(out, lines)
}

// stagesOfMany tells where the time goes, as far as the proxies see it.
func stagesOfMany(out io.Writer, lines []woken) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\nat the proxy, ms\tmedian\tp99\tworst\n")
	for _, s := range []struct {
		name string
		of   func(woken) *float64
	}{
		{"decide", func(l woken) *float64 { return l.Decide }},
		{"scale", func(l woken) *float64 { return l.Scale }},
		{"until it hears that a pod is ready", func(l woken) *float64 { return l.Ready }},
		{"from then until it begins to connect", func(l woken) *float64 { return l.Notice }},
		{"connect", func(l woken) *float64 { return l.Dial }},
	} {
		var took []time.Duration
		for _, l := range lines {
			took = append(took, duration(*s.of(l)))
		}
		fmt.Fprintf(t, "%s\t%s\n", s.name, row(took))
	}
	return t.Flush()
}

func spread(took []time.Duration) string {
	return fmt.Sprintf("median %.2f s, slowest %.2f s", stat.Median(took).Seconds(), slices.Max(took).Seconds())
}

// crowd is many apps that TPA keeps, and as many that it does not.
type crowd struct {
	*world
	through, byHand []string
	address         map[string]string
}

func (m *crowd) setUp(ctx context.Context, o options) error {
	for _, name := range slices.Concat(m.through, m.byHand) {
		idle := time.Duration(0)
		if slices.Contains(m.through, name) {
			idle = manyIdle
		}
		app := kit.App{Name: name, Namespace: m.namespace, NoProbe: !o.probe, Args: []string{"--stop-delay=0s"}}
		var err error
		if m.address[name], err = m.create(ctx, app, "", idle); err != nil {
			return err
		}
	}
	for _, name := range m.through {
		if err := m.active(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// round wakes all of one half at the same time, and returns how long each took when all are at rest again.
func (m *crowd) round(ctx context.Context, throughTPA bool) ([]time.Duration, error) {
	if err := m.rest(ctx, m.through...); err != nil {
		return nil, err
	}
	names, wake := m.byHand, m.wakeByHand
	if throughTPA {
		names, wake = m.through, m.wakeThroughTPA
	}
	var (
		running sync.WaitGroup
		start   = time.Now()
		took    = make([]time.Duration, len(names))
		errs    = make([]error, len(names))
		conns   = make([]*kit.Conn, len(names))
	)
	for i, name := range names {
		running.Go(func() {
			var reply kit.Reply
			conns[i], reply, errs[i] = wake(ctx, name)
			took[i] = reply.Began.Sub(start)
		})
	}
	running.Wait()
	for _, conn := range conns {
		if conn != nil {
			_ = conn.Close() // it has been answered
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if throughTPA {
		return took, steady(start)
	}
	for _, name := range names {
		if err := m.scale(ctx, name, 0); err != nil {
			return nil, err
		}
	}
	return took, steady(start)
}

func (m *crowd) wakeThroughTPA(ctx context.Context, name string) (*kit.Conn, kit.Reply, error) {
	return ask(ctx, m.address[name], name, answerWithin, answerWithin)
}

func (m *crowd) wakeByHand(ctx context.Context, name string) (*kit.Conn, kit.Reply, error) {
	if err := m.scale(ctx, name, 1); err != nil {
		return nil, kit.Reply{}, err
	}
	return poll(ctx, m.address[name], name, manyPoll)
}
