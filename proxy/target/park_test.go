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

	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/sleep"
)

// parkOne counts one in and has it park at once, last used at a time; ended tells how often it was told to end.
func (g *gate) parkOne(used time.Time) (p *parked, ended *atomic.Int64) {
	g.swing(true)
	g.tryEnter()
	ended = &atomic.Int64{}
	return g.park(used, func() { ended.Add(1) }), ended
}

func TestParkedIsNotInsideUntilItReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		used := time.Now().Add(-time.Minute)
		p, _ := g.parkOne(used)
		if g.active != 0 || !g.idleSince.Equal(used) || g.empty() {
			t.Errorf("%d inside, idle since %v, want nobody since %v, and one who may come back", g.active, g.idleSince, used)
		}
		g.swing(false)
		if p.TryReturn() || g.active != 0 {
			t.Error("it came back through a closed gate")
		}
		g.swing(true)
		if !p.TryReturn() || g.active != 1 || len(g.parked) != 0 {
			t.Errorf("%d inside, %d parked, want it inside", g.active, len(g.parked))
		}
		g.leave(time.Now())
		if !g.empty() {
			t.Error("somebody is left")
		}
	})
}

// Who was last used before somebody else who has left does not turn time back.
func TestIdleSinceTheLastUseOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		g.swing(true)
		g.tryEnter()
		g.tryEnter()
		now := time.Now()
		g.leave(now)
		g.park(now.Add(-time.Minute), func() {})
		if !g.idleSince.Equal(now) {
			t.Errorf("idle since %v, want %v", g.idleSince, now)
		}
	})
}

func TestParkedWaitsForTheGateAsEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		p, _ := g.parkOne(time.Now())
		late, _ := g.parkOne(time.Now())
		g.swing(false)
		errs := make(chan error, 1)
		go func() { errs <- p.Return(t.Context(), source.Client) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := late.Return(ctx, source.Client); !errors.Is(err, context.DeadlineExceeded) || g.waiting != 1 {
			t.Errorf("%v with %d waiting, want the deadline, and the other one waiting", err, g.waiting)
		}
		late.Leave()
		g.swing(true)
		if err := <-errs; err != nil || g.active != 1 || g.waiting != 0 || len(g.parked) != 0 {
			t.Errorf("%v; %d inside, %d waiting, %d parked; want one inside", err, g.active, g.waiting, len(g.parked))
		}
	})
}

// A doze ends who is parked, also who waits to come back, which is over at once: the target must not be woken for it. Others
// wait on.
func TestDozeEndsWhoIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		silent, first := g.parkOne(time.Now())
		back, second := g.parkOne(time.Now())
		g.swing(false)
		returned, entered := make(chan error, 1), make(chan error, 1)
		go func() { returned <- back.Return(t.Context(), source.Client) }()
		go func() { entered <- g.wait(t.Context(), source) }()
		synctest.Wait()
		g.mu.Lock()
		g.doze()
		if g.waiting != 1 {
			t.Errorf("%d waiting, want only who is not parked", g.waiting)
		}
		g.mu.Unlock()
		if err := <-returned; !errors.Is(err, front.ErrDozed) {
			t.Errorf("%v, want %v", err, front.ErrDozed)
		}
		synctest.Wait()
		if first.Load() != 1 || second.Load() != 1 {
			t.Errorf("told to end %d and %d times, want once each", first.Load(), second.Load())
		}
		g.swing(true)
		if err := <-entered; err != nil {
			t.Error(err)
		}
		if silent.TryReturn() || !errors.Is(silent.Return(t.Context(), source.Client), front.ErrDozed) {
			t.Error("it came back after the doze")
		}
		silent.Leave()
		back.Leave()
		g.leave(time.Now())
		if !g.empty() {
			t.Errorf("%d inside, %d waiting, %d parked, want nobody", g.active, g.waiting, len(g.parked))
		}
	})
}

func TestGateKeepsCountOfTheParkedUnderRace(t *testing.T) {
	g := &gate{changed: func() {}}
	var swinging, users sync.WaitGroup
	stop := make(chan struct{})
	swinging.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				g.swing(i%2 == 0)
			}
			if i%50 == 0 {
				g.mu.Lock()
				g.doze()
				g.mu.Unlock()
			}
		}
	})
	var back, dozed atomic.Int64
	// On a busy machine the gate may not swing during the first tries.
	untried := func() bool { return back.Load() == 0 || dozed.Load() == 0 }
	deadline := time.Now().Add(20 * time.Second)
	for range 16 {
		users.Go(func() {
			for i := 0; i < 300 || untried() && time.Now().Before(deadline); i++ {
				if g.wait(t.Context(), source) != nil {
					t.Error("not let in")
					return
				}
				p := g.park(time.Now(), func() {})
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(100))*time.Microsecond)
				if err := p.Return(ctx, source.Client); err == nil {
					back.Add(1)
					g.leave(time.Now())
				} else {
					dozed.Add(1)
					p.Leave()
				}
				cancel()
			}
		})
	}
	users.Wait()
	close(stop)
	swinging.Wait()
	if !g.empty() || g.idleSince.IsZero() {
		t.Errorf("%d inside, %d waiting, %d parked after all have left", g.active, g.waiting, len(g.parked))
	}
	if untried() {
		t.Errorf("%d came back, %d did not: nothing was tried", back.Load(), dozed.Load())
	}
}

// A target with a parked connection sleeps the idle time-out after that one's last byte, and takes it for no connection.
func TestTargetSleepsUnderAParkedConnection(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.proxy("a"), c.proxy("b")
		a.mustAcquire()
		b.mustAcquire()
		used := time.Now()
		after(idle / 2)
		ended := make(chan string, 2)
		p := a.Park(used, func() { ended <- "a" })
		b.Park(used, func() { ended <- "b" })
		after(idle/2 - time.Second)
		wantReplicas(t, c, 3)
		wantPhase(t, c, sleep.Awake)
		after(2 * time.Second)
		wantReplicas(t, c, 0, 0)
		if len(ended) != 2 {
			t.Errorf("%d of 2 parked connections were ended", len(ended))
		}
		if err := p.Return(t.Context(), source.Client); !errors.Is(err, front.ErrDozed) {
			t.Errorf("%v, want %v", err, front.ErrDozed)
		}
		after(10 * idle)
		wantReplicas(t, c, 0, 0)
	})
}

// A parked connection that comes back wins the claim back first, and keeps the target awake from then on.
func TestParkedConnectionClaimsAgain(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		a := c.proxy("a")
		a.mustAcquire()
		used := time.Now()
		after(idle/2 + time.Second)
		p := a.Park(used, func() { t.Error("told to end") })
		after(time.Second)
		if p.TryReturn() || c.state().Claims["a"].Active() {
			t.Error("the claim is kept for a parked connection")
		}
		if err := p.Return(t.Context(), source.Client); err != nil || !c.state().Claims["a"].Active() {
			t.Errorf("%v with claims %v, want an active one", err, c.state().Claims)
		}
		after(3 * idle)
		wantReplicas(t, c, 3)
		a.Release(time.Now())
		after(idle + time.Second)
		wantReplicas(t, c, 0, 0)
	})
}

// A Keeper stays until the last parked connection has gone: only it would have it ended.
func TestRetiredKeeperStaysForParkedConnections(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		a := c.proxy("a")
		a.mustAcquire()
		p := a.Park(time.Now(), func() {})
		a.Retire()
		after(time.Hour)
		if a.over() {
			t.Fatal("it has ended under a parked connection")
		}
		if err := p.Return(t.Context(), source.Client); err != nil || !c.state().Claims["a"].Active() {
			t.Errorf("%v with claims %v, want an active one", err, c.state().Claims)
		}
		p = a.Park(time.Now(), func() {})
		p.Leave()
		after(time.Second)
		if !a.over() {
			t.Error("it has not ended after the last one")
		}
	})
}

// One Service of a target may ignore silent connections and another not: the one's are ended when the other's have gone.
func TestParkedConnectionBesideOneThatCounts(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		a := c.proxy("a")
		a.mustAcquire()
		a.mustAcquire()
		ended := make(chan struct{}, 1)
		p := a.Park(time.Now(), func() { close(ended) })
		after(3 * idle)
		wantReplicas(t, c, 3)
		if !p.TryReturn() {
			t.Error("it cannot return although the claim is there")
		}
		a.Park(time.Now(), func() { close(ended) })
		a.Release(time.Now())
		after(idle + time.Second)
		wantReplicas(t, c, 0, 0)
		<-ended
	})
}

// While the API server is away parked connections come back as new ones are let in: without a claim, after a moment.
func TestParkedConnectionComesBackDuringAnOutage(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		a := c.proxy("a")
		a.SetReady(3, time.Now())
		a.mustAcquire()
		used := time.Now()
		after(idle/2 + time.Second)
		p := a.Park(used, func() { t.Error("told to end") })
		after(time.Second) // the claim is given up
		c.intercept(refused)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := p.Return(ctx, source.Client); err != nil {
			t.Error(err)
		}
		wantReplicas(t, c, 3)
		a.Release(time.Now())
		c.intercept(nil)
	})
}
