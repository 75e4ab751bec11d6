package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"tpa.dev/tpa/test/kit"
)

// latencies are those of connections through the proxy and, made in turn with them, of connections past it.
type latencies struct{ proxied, direct []time.Duration }

func latenciesOf(took []time.Duration) latencies { return latencies{proxied: took} }

func quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func ms(d time.Duration) string { return strconv.FormatFloat(d.Seconds()*1e3, 'f', 1, 64) }

func (l latencies) String() string {
	s := fmt.Sprintf("p50 %s ms, p99 %s ms", ms(quantile(l.proxied, .5)), ms(quantile(l.proxied, .99)))
	if len(l.direct) > 0 {
		s += fmt.Sprintf(" (past the proxy: %s, %s)", ms(quantile(l.direct, .5)), ms(quantile(l.direct, .99)))
	}
	return s
}

// beside relates latencies to those of the calm.
func (l latencies) beside(calm latencies) string {
	times := func(now, then []time.Duration) float64 {
		return float64(quantile(now, .99)) / float64(quantile(then, .99))
	}
	return fmt.Sprintf("%s; p99 is %.1f times that of the calm, past the proxy %.1f times",
		l, times(l.proxied, calm.proxied), times(l.direct, calm.direct))
}

// meanwhile measures the other Service, through the proxy and past it, while something is done. No connection may fail.
func (s *siege) meanwhile(ctx context.Context, do func() error) (latencies, error) {
	done := make(chan error, 1)
	go func() { done <- do() }()
	var l latencies
	addresses := append(s.f.addresses(s.p, calmApp), podAddress+":"+strconv.Itoa(echoPort))
	for {
		t, err := s.other.do(job{Op: "probe", Addresses: addresses, Every: 10 * time.Millisecond, For: 500 * time.Millisecond})
		if err == nil && t.Failed > 0 {
			err = fmt.Errorf("%d connections to another Service failed, the last: %s", t.Failed, t.Why)
		}
		if err != nil {
			return l, errors.Join(err, <-done)
		}
		l.proxied, l.direct = append(l.proxied, t.Took[0]...), append(l.direct, t.Took[1]...)
		select {
		case err := <-done:
			return l, err
		default:
		}
	}
}

func sleepFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openUntil opens connections and waits until it is as it should be.
func (s *siege) openUntil(ctx context.Context, j job, is func(tally, kit.Metrics) bool) (t tally, err error) {
	j.Op = "open"
	if _, err := s.crowd.do(j); err != nil {
		return t, err
	}
	err = kit.Wait(ctx, time.Minute, "all connections to be held, relayed or refused", func(ctx context.Context) (bool, string) {
		var errs [2]error
		var m kit.Metrics
		t, errs[0] = s.crowd.do(job{Op: "tally"})
		m, errs[1] = s.p.metrics(ctx)
		if err := errors.Join(errs[:]...); err != nil {
			return false, err.Error()
		}
		return is(t, m), fmt.Sprintf("%s; the proxy holds %.0f, relays %.0f, has refused %d and %d", t, m.Sum("tpa_connections_held"),
			m.Sum("tpa_connections_active"), ended(m, "", "refused_budget"), ended(m, "", "refused_full"))
	})
	return t, err
}

// holds waits until the proxy holds that many connections.
func (s *siege) holds(ctx context.Context, n int) error {
	return kit.Wait(ctx, time.Minute, fmt.Sprintf("the proxy to hold %d connections", n), func(ctx context.Context) (bool, string) {
		m, err := s.p.metrics(ctx)
		return err == nil && int(m.Sum("tpa_connections_held")) == n, fmt.Sprint(m.Sum("tpa_connections_held"), " ", err)
	})
}

// clear closes all connections, and waits until the proxy is as it was before.
func (s *siege) clear(ctx context.Context, before footprint) error {
	if _, err := s.crowd.do(job{Op: "close"}); err != nil {
		return err
	}
	return s.back(ctx, 30*time.Second, before)
}

// back waits until the proxy has no more descriptors and goroutines than before, but for those that serve who asks.
func (s *siege) back(ctx context.Context, within time.Duration, before footprint) error {
	const slack = 8
	return kit.Wait(ctx, within, "the proxy to give everything back", func(ctx context.Context) (bool, string) {
		now, err := s.p.footprint(ctx)
		return err == nil && now.descriptors <= before.descriptors+slack && now.goroutines <= before.goroutines+slack,
			fmt.Sprintf("%s, before: %s; %v", now, before, err)
	})
}

// table is what is printed in the end.
type table [][2]string

func (t *table) row(what, format string, args ...any) {
	*t = append(*t, [2]string{what, fmt.Sprintf(format, args...)})
	say("%s: %s", what, (*t)[len(*t)-1][1])
}

func (t table) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range t {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	return w.Flush()
}
