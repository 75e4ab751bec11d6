package target

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// history returns what the Lease says.
func (c *cluster) history() contract.History {
	c.t.Helper()
	h, err := contract.ParseHistory(c.lease().Annotations[contract.HistoryKey])
	if err != nil {
		c.t.Fatal(err)
	}
	return h
}

// counts counts the calls to the API server by name.
func (c *cluster) counts() (soFar func() map[string]int) {
	var mu sync.Mutex
	calls := map[string]int{}
	c.intercept(func(ctx context.Context, call string) error {
		mu.Lock()
		defer mu.Unlock()
		calls[call]++
		return ctx.Err()
	})
	return func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(calls)
	}
}

func wantHistory(t *testing.T, c *cluster, want contract.History) {
	t.Helper()
	if diff := cmp.Diff(want, c.history()); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestHistoryOfASleepAndAWake(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		p.SetPod(contract.Requests{CPU: 0.5, Memory: 1000})
		after(idle + time.Second)
		pod := contract.Requests{CPU: 0.5, Memory: 1000}
		wantHistory(t, c, contract.History{Sleeps: 1, Pod: pod})
		p.SetPod(contract.Requests{})
		p.SetReady(0, time.Time{})
		since := c.state().Since
		after(100*time.Second - now().Sub(since))
		asleep := contract.Saved{Replicas: 300, CPU: 150, Memory: 300_000}
		if h := p.History(); h.Asleep != 100 || h.Saved != asleep {
			t.Errorf("while asleep: %+v, want 100 s and what 3 pods would have used", h)
		}
		began := now()
		p.hold()
		after(time.Second)
		want := contract.History{
			Sleeps: 1, Wakes: 1, Asleep: 100, Saved: asleep, Pod: pod,
			LastWake: &contract.Wake{At: began, Service: "web", From: "192.0.2.7"},
		}
		wantHistory(t, c, want)
		p.SetReady(1, time.Now())
		p.Dialed(0)
		state, calls := c.state(), c.counts()
		after(outcomeAfter - time.Millisecond)
		if len(calls()) != 0 {
			t.Errorf("calls %v right after the wake", calls())
		}
		after(time.Millisecond)
		if diff := cmp.Diff(map[string]int{"update lease": 1}, calls()); diff != "" {
			t.Errorf("calls for the outcome (-want +got):\n%s", diff)
		}
		want.LastWake.Outcome, want.LastWake.Took = contract.WakeReady, 1
		wantHistory(t, c, want)
		if diff := cmp.Diff(state, c.state()); diff != "" {
			t.Errorf("the outcome has changed the state:\n%s", diff)
		}
		calls = c.counts()
		after(time.Minute)
		if len(calls()) != 0 {
			t.Errorf("calls %v although nothing has changed", calls())
		}
		if !p.open() {
			t.Error("the gate is closed")
		}
		p.Release(time.Now())
	})
}

func TestHistoryOfAWakeThatCameToNothing(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		after(idle + time.Second)
		p.SetReady(0, time.Time{})
		p.mustAcquire()
		after(time.Minute)
		p.Release(time.Now())
		after(outcomeAfter)
		if w := c.history().LastWake; w.Outcome != contract.WakeTimedOut || w.Took != 60 {
			t.Errorf("%+v, want timed out after a minute", w)
		}
	})
}

// A write that is due anyway takes the outcome along.
func TestOutcomeGoesWithTheNextWrite(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a", func(config *Config) {
			config.Turns = make(chan struct{}, 1)
			config.Turns <- struct{}{} // which somebody else has, for ever
		})
		<-p.config.Turns
		after(idle + time.Second)
		p.config.Turns <- struct{}{}
		p.mustAcquire()
		p.Dialed(0)
		after(time.Minute)
		if w := c.history().LastWake; w.Outcome != "" {
			t.Errorf("%+v, written without a turn", w)
		}
		p.Release(time.Now())
		<-p.config.Turns
		p.stop()
		<-p.ended // gives the claim up
		if w := c.history().LastWake; w.Outcome != contract.WakeReady {
			t.Errorf("%+v, want ready", w)
		}
	})
}

func TestOutcomeIsTriedAgainButNotForEver(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		after(idle + time.Second)
		p.mustAcquire()
		p.Dialed(0)
		var tries atomic.Int32
		c.intercept(func(context.Context, string) error {
			tries.Add(1)
			return errors.New("no")
		})
		after(time.Minute)
		if n := tries.Load(); n != tellTries {
			t.Errorf("tried %d times, want %d", n, tellTries)
		}
		if w := c.history().LastWake; w.Outcome != "" {
			t.Errorf("%+v", w)
		}
		p.Release(time.Now())
		after(idle)
		if w := c.history().LastWake; w.Outcome != contract.WakeReady {
			t.Errorf("%+v, want what the next write took along", w)
		}
	})
}

// Other proxies and the controller keep the history.
func TestHistoryIsKeptByWhoeverWrites(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.proxy("a")
		b := c.proxy("b")
		after(idle + 10*time.Second)
		since := c.state().Since
		after(40*time.Second - now().Sub(since))
		s := NewSteward(c.store, "s")
		for {
			if _, err := s.Hold(t.Context(), namespace, web); err == nil {
				break
			}
			after(time.Second)
		}
		if h := c.history(); h.Sleeps != 1 || h.Wakes != 0 || h.Asleep != 40 || h.Saved.Replicas != 120 {
			t.Errorf("%+v after the controller has woken it", h)
		}
		if err := s.Release(t.Context(), namespace, web); err != nil {
			t.Fatal(err)
		}
		b.mustAcquire()
		b.Release(time.Now())
		if h := c.history(); h.Sleeps != 1 || h.Asleep != 40 {
			t.Errorf("%+v after a claim", h)
		}
	})
}

// Replicas that somebody else has set to 0 are nothing that TPA has saved.
func TestNothingIsSavedByAZeroOfSomebodyElse(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	was := record{version: "1", state: sleep.State{Phase: sleep.Asleep, Since: since, Replicas: 3}}
	for _, tt := range []struct {
		owed  bool
		until time.Time
		want  contract.History
	}{
		{true, since.Add(time.Minute), contract.History{Asleep: 60, Saved: contract.Saved{Replicas: 180}}},
		{false, since.Add(time.Minute), contract.History{Asleep: 60}},
		{true, since.Add(-time.Minute), contract.History{}}, // by another clock
	} {
		was.state.Owed = tt.owed
		if diff := cmp.Diff(tt.want, was.following(sleep.State{Phase: sleep.Awake, Since: tt.until})); diff != "" {
			t.Errorf("owed %t, until %s (-want +got):\n%s", tt.owed, tt.until, diff)
		}
	}
}

func TestReasonOfASleep(t *testing.T) {
	for want, begin := range map[SleepReason]func(c *cluster, p *proxy){
		NoConnections: func(_ *cluster, p *proxy) {
			p.mustAcquire()
			p.Release(time.Now())
		},
		NoTraffic: func(_ *cluster, p *proxy) {
			p.mustAcquire()
			p.Park(time.Now(), func() {})
		},
		TakenOver: func(c *cluster, _ *proxy) {
			c.edit(func(s *sleep.State) { s.Phase, s.By, s.Since, s.Replicas = sleep.Sleeping, "other/1", now(), 3 })
		},
	} {
		t.Run(string(want), func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				var got []SleepReason
				p := c.proxy("a", func(config *Config) { config.OnSleep = func(why SleepReason) { got = append(got, why) } })
				begin(c, p)
				after(idle + time.Minute)
				if diff := cmp.Diff([]SleepReason{want}, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}
