package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"tpa.dev/tpa/test/kit"
)

// every is how often the result so far is printed.
const every = 30 * time.Second

// session is clients at work on a fleet.
type session struct {
	*fleet
	o       options
	watch   *watch
	record  *record
	began   time.Time
	clients sync.WaitGroup
	telling sync.WaitGroup
	// background is what the watch lives by, which outlives the clients.
	background             context.Context
	stopClients, stopWatch context.CancelFunc
}

// start starts all clients, after prepare, if that is not nil. They call until finish, or until ctx ends.
func (f *fleet) start(ctx context.Context, o options, prepare func(*session)) (*session, error) {
	if err := f.proxied(ctx); err != nil {
		return nil, err
	}
	s := &session{fleet: f, o: o, record: newRecord(), began: time.Now()}
	s.background, s.stopWatch = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if s.watch, err = startWatch(s.background, f.Cluster, f.namespace, f.plan); err != nil {
		s.stopWatch()
		return nil, err
	}
	tracker, err := startTracking(s.background, f.Nodes)
	if err != nil {
		s.stopWatch()
		return nil, err
	}
	s.record.also = s.tellIfOdd
	if prepare != nil {
		prepare(s)
	}
	fmt.Printf("soak: %d Services, %d targets, %d proxies, seed %d\n", len(f.plan.services), len(f.plan.targets), proxies, o.seed)
	ctx, s.stopClients = context.WithCancel(ctx)
	for i, group := range f.plan.groups() {
		t := traffic{
			group: group, addresses: f.addresses, nodes: f.Nodes, schedule: newSchedule(o.seed, uint64(i)), plan: f.plan,
			watch: s.watch, within: o.within, track: tracker.of, ended: s.record.add,
		}
		s.clients.Go(func() { t.run(ctx) })
	}
	s.clients.Go(func() { s.progress(ctx) })
	return s, nil
}

// slow is an answer that takes longer than a wake should, on a machine that is busy.
const slow = 10 * time.Second

// tellIfOdd prints what is known of a connection that nobody may lose, and of one that was answered late for no fault.
func (s *session) tellIfOdd(c connection, e excuse) {
	switch {
	case c.kind() == kit.OK && (c.first < slow || s.o.faulty()):
	case e != unexcused:
		fmt.Printf("%s: %s\n", e, c)
	default:
		s.telling.Go(func() { s.tell(s.background, os.Stdout, s.watch, c) })
	}
}

func (s *session) progress(ctx context.Context) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			now := s.record.now(s.watch)
			fmt.Printf("%s after %s; %s\n", now.last(), time.Since(s.began).Round(time.Second), now.detail())
		case <-ctx.Done():
			return
		}
	}
}

// finish stops the clients, waits until every connection has ended, and returns what became of them.
func (s *session) finish() result {
	s.stopClients()
	s.clients.Wait()
	s.telling.Wait()
	defer s.stopWatch()
	r := s.record.now(s.watch)
	r.Took = time.Since(s.began).Round(time.Second).Seconds()
	fmt.Printf("soak: %.0fs; %s\n", r.Took, r.detail())
	return r
}
