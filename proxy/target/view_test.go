package target

import (
	"context"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/sleep"
)

// What was ready before a sleep must be out of the pools before the gate can open again.
func TestDozeIsToldWhileTheGateIsClosed(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		var dozes, phases int
		var k *Keeper
		p := c.proxy("a", func(config *Config) {
			config.OnPhase = func() { phases++ }
			config.OnDoze = func() {
				dozes++
				if k != nil && k.gate.active > 0 {
					t.Error("somebody is inside")
				}
			}
		})
		k = p.Keeper
		if got := p.View(); !got.Awake || !got.WokeAt.IsZero() {
			t.Errorf("view %+v, want awake and never asleep", got)
		}
		after(idle + time.Second)
		if got := p.View(); got.Awake || dozes != 1 {
			t.Errorf("view %+v after %d calls, want asleep after one", got, dozes)
		}
		before := phases
		p.SetReady(0, time.Now())
		p.mustAcquire()
		if got := p.View(); !got.Awake || !got.WokeAt.Equal(time.Now()) || dozes != 1 || phases != before+1 {
			t.Errorf("view %+v after %d changes of phase, want just woken", got, phases-before)
		}
		p.Release(time.Now())
	})
}

// The watch may show the target awake, and then awake again since later.
func TestSleepAndWakeThatGoByUnseenAreToldNevertheless(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		dozes := 0
		p := c.proxy("a", func(config *Config) { config.OnDoze = func() { dozes++ } })
		p.mustAcquire()
		after(time.Minute)
		c.edit(func(s *sleep.State) { s.Since = now() })
		if got := p.View(); !got.Awake || dozes != 1 || !got.WokeAt.Equal(time.Now()) {
			t.Errorf("view %+v after %d calls, want just woken after one sleep", got, dozes)
		}
		p.Release(time.Now())
	})
}

// Nor does the watch have to show it: a proxy that wants its claim back learns of it by a conflict.
func TestSleepAndWakeThatAConflictShowsAreTold(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		dozes := 0
		p := c.proxy("a", func(config *Config) { config.OnDoze = func() { dozes++ } })
		p.mustAcquire()
		p.Release(time.Now())
		after(sleep.Quiet(idle) + time.Second)
		c.watchers[p.Keeper] = false
		c.edit(func(s *sleep.State) { s.Since = now() })
		p.mustAcquire()
		if got := p.View(); !got.Awake || dozes != 1 || !got.WokeAt.Equal(time.Now()) {
			t.Errorf("view %+v after %d calls, want just woken after one sleep", got, dozes)
		}
		p.Release(time.Now())
	})
}

func TestAcquireEndsWithItsContextAndCountsNothing(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		after(idle + time.Second)
		c.intercept(refused)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Acquire(ctx, source); err == nil {
			t.Fatal("a client that has gone is let in")
		}
		c.intercept(nil)
		after(time.Minute)
		if state := c.state(); state.Phase != sleep.Asleep {
			t.Errorf("state %+v, want still asleep", state)
		}
	})
}
