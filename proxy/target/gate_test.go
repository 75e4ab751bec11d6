package target

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// newGate returns a closed gate that counts the calls of changed.
func newGate() (*gate, *int) {
	var changes int
	return &gate{changed: func() { changes++ }}, &changes
}

func (g *gate) swing(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.set(open)
}

func TestGateLetsInWhileOpenAndCounts(t *testing.T) {
	g, changes := newGate()
	if g.tryEnter() || g.active != 0 {
		t.Error("a closed gate lets in")
	}
	g.swing(true)
	first, second := g.tryEnter(), g.tryEnter()
	if !first || !second || g.active != 2 || *changes != 1 {
		t.Errorf("%d inside after %d changes, want 2 after 1", g.active, *changes)
	}
	g.swing(false)
	if g.active != 2 || g.tryEnter() {
		t.Errorf("%d inside a gate that was closed behind them, want 2 and nobody new", g.active)
	}
	g.leave(time.Now())
	if *changes != 1 {
		t.Error("a change although one is still inside")
	}
	before := now()
	g.leave(time.Now())
	if *changes != 2 || g.idleSince.Before(before) {
		t.Errorf("%d changes, idle since %s, want 2 and now", *changes, g.idleSince)
	}
}

func TestGateLetsWaitersInWhenItOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, changes := newGate()
		errs := make(chan error, 3)
		for range 3 {
			go func() { errs <- g.wait(t.Context(), source) }()
		}
		synctest.Wait()
		if g.waiting != 3 || *changes != 1 || g.source != source || !g.waitingSince.Equal(time.Now()) {
			t.Errorf("%d waiting after %d changes, the first is %v", g.waiting, *changes, g.source)
		}
		g.swing(true)
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if g.active != 3 || g.waiting != 0 {
			t.Errorf("%d inside, %d waiting, want 3 and 0", g.active, g.waiting)
		}
	})
}

func TestGateWaitEndsWithItsContextAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		gone := errors.New("client has gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		errs := make(chan error, 1)
		go func() { errs <- g.wait(ctx, source) }()
		synctest.Wait()
		cancel(gone)
		if err := <-errs; !errors.Is(err, gone) {
			t.Errorf("%v, want the cause: %v", err, gone)
		}
		if g.active != 0 || g.waiting != 0 {
			t.Errorf("%d inside, %d waiting, want nobody", g.active, g.waiting)
		}
	})
}

// A waiter that is woken may find the gate closed again; it must go on waiting and not get in.
func TestGateThatOpensAndClosesAtOnceLetsNobodyIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		errs := make(chan error, 1)
		go func() { errs <- g.wait(t.Context(), source) }()
		synctest.Wait()
		g.mu.Lock()
		g.set(true)
		g.set(false)
		g.mu.Unlock()
		synctest.Wait()
		if g.active != 0 || g.waiting != 1 {
			t.Fatalf("%d inside, %d waiting, want one waiting", g.active, g.waiting)
		}
		g.swing(true)
		if err := <-errs; err != nil || g.active != 1 {
			t.Errorf("%v, %d inside, want one", err, g.active)
		}
	})
}

func TestGateKeepsCountUnderRace(t *testing.T) {
	var lettingIn atomic.Int64
	g := &gate{changed: func() {}}
	var swinging, users sync.WaitGroup
	stop := make(chan struct{})
	swinging.Go(func() {
		for open := true; ; open = !open {
			select {
			case <-stop:
				return
			default:
				g.swing(open)
			}
		}
	})
	for range 32 {
		users.Go(func() {
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(200))*time.Microsecond)
				if g.tryEnter() || g.wait(ctx, source) == nil {
					lettingIn.Add(1)
					g.leave(time.Now())
				}
				cancel()
			}
		})
	}
	users.Wait()
	close(stop)
	swinging.Wait()
	if g.active != 0 || g.waiting != 0 {
		t.Errorf("%d inside and %d waiting after all have left", g.active, g.waiting)
	}
	if lettingIn.Load() == 0 {
		t.Error("nobody was ever let in")
	}
}

func TestOpenGateCostsNoAllocation(t *testing.T) {
	g, _ := newGate()
	g.swing(true)
	if n := testing.AllocsPerRun(100, func() { g.tryEnter(); g.leave(time.Now()) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _ = g.wait(context.Background(), source); g.leave(time.Now()) }); n != 0 {
		t.Errorf("wait: %v allocations", n)
	}
}

func BenchmarkOpenGate(b *testing.B) {
	g, _ := newGate()
	g.swing(true)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			g.tryEnter()
			g.leave(time.Now())
		}
	})
}
