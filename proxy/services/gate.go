package services

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/target"
)

// gate is what the connections of one Service acquire: all of its targets, woken at the same time. It counts who is inside.
// So when the Service gets other targets, and with the same selector maybe the same pods, those know that they are in use.
type gate struct {
	service string
	keepers all

	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{} // closed when it is closed and nobody is inside
}

func newGate(service string, keepers []*target.Keeper) *gate {
	return &gate{service: service, keepers: keepers, empty: make(chan struct{})}
}

// close lets nobody in any more.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.inside == 0 {
		close(g.empty)
	}
}

func (g *gate) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

// Acquire implements front.Target.
func (g *gate) Acquire(ctx context.Context, client front.Client) error {
	if err := g.keepers.Acquire(ctx, target.Source{Service: g.service, Port: client.Port, Client: client.Addr}); err != nil {
		return err
	}
	if !g.enter() {
		g.keepers.Release(time.Now())
		return front.ErrRetired
	}
	return nil
}

// TryAcquire implements front.Target.
func (g *gate) TryAcquire() bool {
	if !g.keepers.TryAcquire() {
		return false
	}
	if !g.enter() {
		g.keepers.Release(time.Now())
		return false
	}
	return true
}

// Release implements front.Target.
func (g *gate) Release(used time.Time) {
	g.leave()
	g.keepers.Release(used)
}

// Awake implements front.Target.
func (g *gate) Awake() bool { return g.keepers.Awake() }

// countUntilLeft counts as use, until ctx ends, those who are still inside an earlier gate of the same Service.
func (g *gate) countUntilLeft(ctx context.Context, earlier *gate) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-earlier.empty:
		case <-ctx.Done():
		}
	}()
	if g.Acquire(ctx, front.Client{}) == nil {
		<-ctx.Done()
		g.Release(time.Now())
	}
}

// all is several targets that sleep and wake together.
type all []*target.Keeper

// Acquire acquires them at the same time, or none.
func (a all) Acquire(ctx context.Context, source target.Source) error {
	return together(ctx, len(a),
		func(ctx context.Context, i int) error { return a[i].Acquire(ctx, source) },
		func(i int) { a[i].Release(time.Now()) })
}

// together does something n times at once. If one fails, the others are told to end, and those that came to something are
// undone.
func together(ctx context.Context, n int, do func(ctx context.Context, i int) error, undo func(i int)) error {
	if n == 1 {
		return do(ctx, 0)
	}
	done := make([]bool, n)
	group, ctx := errgroup.WithContext(ctx)
	for i := range n {
		group.Go(func() error {
			err := do(ctx, i)
			done[i] = err == nil
			return err
		})
	}
	err := group.Wait()
	for i := range n {
		if err != nil && done[i] {
			undo(i)
		}
	}
	return err
}

// TryAcquire acquires all or none, without waiting.
func (a all) TryAcquire() bool {
	for i, k := range a {
		if !k.TryAcquire() {
			a[:i].Release(time.Now())
			return false
		}
	}
	return true
}

// Release releases each.
func (a all) Release(used time.Time) {
	for _, k := range a {
		k.Release(used)
	}
}

// Awake reports whether all are.
func (a all) Awake() bool {
	for _, k := range a {
		if !k.Awake() {
			return false
		}
	}
	return true
}
