package front

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// Open is the Target of a Service while somebody else keeps its workload awake: everybody passes, and nobody is counted.
// Who passed is counted by the next other Target that Settings name: it is told to keep awake what they still use.
type Open struct{}

func (Open) Acquire(context.Context, Client) error { return nil }
func (Open) TryAcquire() bool                      { return true }
func (Open) Release(time.Time)                     {}
func (Open) Awake() bool                           { return true }

// Park parks nobody: who has passed an Open counts, as soon as somebody counts, until it ends.
func (Open) Park(time.Time, func()) Parked                { return Open{} }
func (Open) TryReturn() bool                              { return true }
func (Open) Return(context.Context, netip.AddrPort) error { return nil }
func (Open) Leave()                                       {}

func isOpen(t Target) bool { _, open := t.(Open); return open }

// uncounted is a connection that has passed an Open.
type uncounted struct {
	ctx    context.Context // ends with the connection
	client Client
	counts sync.WaitGroup
}

// countLater has the next Target count a connection that has passed an Open. The function that it returns is to be
// called when the connection ends.
func (s *Service) countLater(client Client) (end func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	u := &uncounted{ctx: ctx, client: client}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(u)
	return func() {
		cancel()
		s.mu.Lock()
		delete(s.uncounted, u)
		s.mu.Unlock()
		u.counts.Wait()
	}
}

// count counts a connection as use of the Service's Target until it ends, waking the Target if need be; or, while that
// is an Open, notes that this is still to be done. The caller holds s.mu.
func (s *Service) count(u *uncounted) {
	settings := s.settings.Load()
	if isOpen(settings.Target) {
		s.uncounted[u] = struct{}{}
		return
	}
	delete(s.uncounted, u)
	u.counts.Go(func() {
		err := settings.Target.Acquire(u.ctx, u.client)
		if err == nil {
			<-u.ctx.Done()
			settings.Target.Release(time.Now())
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if u.ctx.Err() == nil && s.replaced(settings, err) {
			s.count(u)
		}
	})
}

// countAll counts what was not counted so far. The caller holds s.mu.
func (s *Service) countAll() {
	for u := range s.uncounted {
		s.count(u)
	}
}
