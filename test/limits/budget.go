package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// siege is one proxy under too many connections.
type siege struct {
	options
	f     *fleet
	p     *proxy
	crowd *crowd // many clients
	other *crowd // one, that uses another Service all the while
	calm  latencies
	held  int // the most that one Service holds
	table
}

// The Services that are not under siege, and what the others are there for.
const (
	calmApp    = "calm"    // the other Service, awake
	wakeApp    = "wake"    // sleeps, and is woken while others are under siege
	oneApp     = "one"     // sleeps
	floodApp   = "flood"   // awake
	trickleApp = "trickle" // awake
	deafApp    = "deaf"    // awake, sends a stream
	vanishApp  = "vanish"  // awake
	goneApp    = "gone"    // sleeps
)

// bad are Services whose backends are, by the port.
var bad = map[string]int{"refuses": deadPort, "drops": fullPort, "slow": slowPort}

// budget measures what one proxy does with far too many connections.
func budget(ctx context.Context, o options, out io.Writer) error {
	const namespace = "siege"
	w, err := newWorld(ctx, namespace)
	if err != nil {
		return err
	}
	s := &siege{options: o, held: o.conns / 20}
	apps := []*app{
		{name: calmApp, port: echoPort}, {name: floodApp, port: echoPort}, {name: trickleApp, port: echoPort},
		{name: vanishApp, port: echoPort}, {name: deafApp, port: streamPort}, {name: wakeApp, port: echoPort, asleep: true},
		{name: oneApp, port: echoPort, asleep: true, annotations: map[string]string{contract.MaxHeldKey: strconv.Itoa(s.held)}},
		{name: goneApp, port: echoPort, asleep: true, annotations: map[string]string{contract.WakeTimeoutKey: "5s"}},
	}
	for name, port := range bad {
		apps = append(apps, &app{name: name, port: port})
	}
	for i := range o.services {
		apps = append(apps, &app{name: shared(i), port: echoPort, asleep: true})
	}
	if s.f, err = w.newFleet(ctx, namespace, apps); err != nil {
		return err
	}
	// As many descriptors as there are connections, where each takes two: there are never enough.
	if s.p, err = s.f.newProxy(ctx, o.proxy, o.conns, "--max-held="+strconv.Itoa(o.conns/2)); err != nil {
		return err
	}
	if s.crowd, err = w.newCrowd("crowd", max(2, o.conns/4000)); err != nil {
		return err
	}
	if s.other, err = w.newCrowd("other", 1); err != nil {
		return err
	}
	s.f.byHand(true)
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"calm", s.quiet}, {"one sleeping Service", s.one}, {"several sleeping Services", s.several},
		{"bad backends", s.badBackends}, {"a Service that is awake", s.flood}, {"clients that dawdle", s.dawdlers},
		{"clients that vanish", s.vanished},
	} {
		say("%s", step.what)
		if err := step.do(ctx); err != nil {
			return errors.Join(fmt.Errorf("%s: %w\nthe proxy's log ends with: %s", step.what, err, s.p.Tail()), s.print(out))
		}
	}
	return s.print(out)
}

func shared(i int) string { return "shared-" + strconv.Itoa(i) }

// quiet measures the other Service before anything else happens.
func (s *siege) quiet(ctx context.Context) error {
	time.Sleep(time.Second) // it is measured at rest
	var err error
	s.calm, err = s.meanwhile(ctx, func() error { return sleepFor(ctx, 5*time.Second) })
	s.row("another Service, calm", "%s", s.calm)
	return err
}

// one floods a Service that sleeps, lets some clients leave, and wakes it.
func (s *siege) one(ctx context.Context) error {
	before, err := s.p.footprint(ctx)
	if err != nil {
		return err
	}
	s.row("empty", "%s", before)
	peak := s.p.watchPeak()
	var t tally
	l, err := s.meanwhile(ctx, func() (err error) {
		t, err = s.openUntil(ctx, job{Addresses: s.f.addresses(s.p, oneApp), Conns: s.conns, AtOnce: s.conns / 10, Way: ask},
			func(t tally, m kit.Metrics) bool {
				return t.Refused == s.conns-s.held && ended(m, oneApp, "refused_budget") == t.Refused
			})
		return err
	})
	if err != nil {
		return err
	}
	s.row(fmt.Sprintf("%d connections to one sleeping Service", s.conns), "%d held, %d refused, and counted as that", t.Waiting, t.Refused)
	s.row("  refused after", "%s", latenciesOf(t.RefusedAfter))
	s.row("  another Service meanwhile", "%s", l.beside(s.calm))
	if err := s.leave(ctx); err != nil {
		return err
	}
	if err := s.wake(ctx, t.Waiting, oneApp); err != nil {
		return err
	}
	s.row("  most", "%s", peak())
	return s.clear(ctx, before)
}

// leave has some clients leave that wait, and as many others come.
func (s *siege) leave(ctx context.Context) error {
	was, err := s.crowd.do(job{Op: "tally"})
	if err != nil {
		return err
	}
	began := time.Now()
	t, err := s.crowd.do(job{Op: "close", Count: s.held / 10})
	if err != nil {
		return err
	}
	left := was.Open - t.Open // fewer where a client process has fewer
	if err := s.holds(ctx, s.held-left); err != nil {
		return err
	}
	took := time.Since(began)
	t, err = s.openUntil(ctx, job{Addresses: s.f.addresses(s.p, oneApp), Conns: left, AtOnce: left, Way: ask},
		func(t tally, m kit.Metrics) bool { return int(m.Sum("tpa_connections_held")) == s.held })
	if err != nil {
		return err
	}
	if t.Refused != was.Refused {
		return fmt.Errorf("%d were refused although as many had left", t.Refused-was.Refused)
	}
	s.row(fmt.Sprintf("  %d clients left, and others came", left), "their places were free after at most %d ms", took.Milliseconds())
	return nil
}

// several floods many sleeping Services at once, and wakes them all.
func (s *siege) several(ctx context.Context) error {
	before, err := s.p.footprint(ctx)
	if err != nil {
		return err
	}
	was, err1 := s.p.metrics(ctx)
	base, err2 := s.crowd.do(job{Op: "tally"})
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	var names []string
	for i := range s.services {
		names = append(names, shared(i))
	}
	peak := s.p.watchPeak()
	var t tally
	l, err := s.meanwhile(ctx, func() (err error) {
		t, err = s.openUntil(ctx, job{Addresses: s.f.addresses(s.p, names...), Conns: s.conns, AtOnce: s.conns / 10, Way: ask},
			func(t tally, m kit.Metrics) bool {
				refused := refusals(m, "") - refusals(was, "")
				return t.Waiting+t.Refused-base.Refused == s.conns && t.Refused-base.Refused == refused
			})
		return err
	})
	if err != nil {
		return err
	}
	m, err := s.p.metrics(ctx)
	if err != nil {
		return err
	}
	least, most := s.conns, 0
	for _, name := range names {
		n := int(m[fmt.Sprintf("tpa_connections_held{namespace=%q,service=%q}", s.f.namespace, name)])
		least, most = min(least, n), max(most, n)
	}
	if least == 0 {
		return errors.New("a Service holds none: others have taken all places")
	}
	t = t.sub(base)
	s.row(fmt.Sprintf("%d connections to %d sleeping Services", s.conns, s.services),
		"%d held (%d to %d each), %d refused, and counted as that", t.Waiting, least, most, t.Refused)
	s.row("  another Service meanwhile", "%s", l.beside(s.calm))
	if err := s.wake(ctx, t.Waiting, names...); err != nil {
		return err
	}
	s.row("  most", "%s", peak())
	return s.clear(ctx, before)
}

// wake makes the pods of sleeping Services ready, and checks that all who wait are answered.
func (s *siege) wake(ctx context.Context, waiting int, names ...string) error {
	was, err := s.crowd.do(job{Op: "tally"})
	if err != nil {
		return err
	}
	began := time.Now()
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, name := range names {
		group.Go(func() error { return s.f.setReady(inGroup, s.f.apps[name], true) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	t, err := s.crowd.do(job{Op: "await", Within: time.Minute})
	if err != nil {
		return err
	}
	if t = t.sub(was); t.Answered != waiting || t.Wrong+t.Failed+t.Refused > 0 || t.Waiting > 0 {
		return fmt.Errorf("of %d held connections %s", waiting, t)
	}
	s.row("  ready, all held answered after", "%d ms; %d of %d, 0 wrong", time.Since(began).Milliseconds(), t.Answered, waiting)
	return nil
}
