package front

import (
	"context"
	"net/netip"
	"sync"
)

// Open is the Target of a Service while somebody else keeps its workload awake: everybody passes, and nobody is counted.
// Who passed is counted by the next other Target that Settings name: it is told to keep awake what they still use.
type Open struct{}

func (Open) Acquire(context.Context, netip.AddrPort) error { return nil }
func (Open) TryAcquire() bool                              { return true }
func (Open) Release()                                      {}
func (Open) Awake() bool                                   { return true }

func isOpen(t Target) bool { _, open := t.(Open); return open }

// uncounted is a connection that has passed an Open.
type uncounted struct {
	ctx    context.Context // ends with the connection
	client netip.AddrPort
	counts sync.WaitGroup
}

// countIn counts the connection as use of a target until it ends, waking the target if need be.
func (u *uncounted) countIn(t Target) {
	u.counts.Go(func() {
		if t.Acquire(u.ctx, u.client) == nil {
			<-u.ctx.Done()
			t.Release()
		}
	})
}

// countLater has the next Target count a connection that has passed an Open. The function that it returns is to be
// called when the connection ends.
func (s *Service) countLater(client netip.AddrPort) (end func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	u := &uncounted{ctx: ctx, client: client}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.settings.Load().Target; isOpen(t) {
		s.uncounted[u] = struct{}{}
	} else { // since a moment ago
		u.countIn(t)
	}
	return func() {
		s.mu.Lock()
		delete(s.uncounted, u)
		s.mu.Unlock()
		cancel()
		u.counts.Wait()
	}
}

// countAll has a target count all that was not counted so far. The caller holds s.mu.
func (s *Service) countAll(t Target) {
	if isOpen(t) {
		return
	}
	for u := range s.uncounted {
		u.countIn(t)
	}
	clear(s.uncounted)
}
