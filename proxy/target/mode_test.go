package target

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// in returns the usual Use in a mode.
func in(m contract.Mode) Use { return Use{IdleTimeout: idle, Mode: m} }

// nobody has no connection without a backend.
func nobody(c *Config) { c.Held = func() bool { return false } }

// until lets time go by until so long after a time.
func until(t time.Time, d time.Duration) { after(d - now().Sub(t)) }

func wantObserved(t *testing.T, p *proxy, want contract.Observed, since time.Time) {
	t.Helper()
	if diff := cmp.Diff(want, p.History().Observed); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	if observed, asleep := p.Observed(); !observed || !asleep.Equal(since) {
		t.Errorf("observed %t, asleep since %s, want %s", observed, asleep, since)
	}
}

// What would have been is known from the Lease, and is written with the claim of who would have woken the target, once.
func TestObservedTargetDoesNotSleepAndSaysWhatWouldHaveBeen(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.proxy("a"), c.proxy("b")
		for _, p := range []*proxy{a, b} {
			p.SetUse(in(contract.ModeObserve))
			p.SetPod(contract.Requests{CPU: 0.5, Memory: 1000})
		}
		since := c.state().Since
		until(since, idle-time.Second)
		wantObserved(t, a, contract.Observed{}, time.Time{})
		calls := c.counts()
		until(since, idle+100*time.Second)
		if len(calls()) != 0 {
			t.Errorf("calls %v at rest", calls())
		}
		first := contract.Observed{Sleeps: 1, Asleep: 100, Saved: contract.Saved{Replicas: 300, CPU: 150, Memory: 300_000}}
		wantObserved(t, a, first, since.Add(idle))
		wantObserved(t, b, first, since.Add(idle))

		a.mustAcquire()
		wantHistory(t, c, contract.History{Observed: first})
		b.mustAcquire()
		wantHistory(t, c, contract.History{Observed: first})
		wantObserved(t, b, first, time.Time{})
		a.Release(time.Now())
		b.Release(time.Now())
		used := now()
		until(used, idle+50*time.Second)
		wantHistory(t, c, contract.History{Observed: first})
		second := contract.Observed{Sleeps: 2, Asleep: 150, Saved: contract.Saved{Replicas: 450, CPU: 225, Memory: 450_000}}
		wantObserved(t, b, second, used.Add(idle))
		b.mustAcquire()
		wantHistory(t, c, contract.History{Observed: second})
		b.Release(time.Now())
		wantReplicas(t, c, 3)
	})
}

// What sleeps goes on to sleep, whatever the idle time-out becomes, and so does what would. Otherwise what is counted would fall.
func TestNapThatHasBegunGoesOn(t *testing.T) {
	for name, change := range map[string]func(c *cluster, all ...*proxy){
		"as it is": func(*cluster, ...*proxy) {},
		"with a longer idle time-out": func(_ *cluster, all ...*proxy) {
			for _, p := range all {
				p.SetUse(Use{IdleTimeout: 100 * idle, Mode: contract.ModeObserve})
			}
		},
		"with a shorter one": func(_ *cluster, all ...*proxy) {
			for _, p := range all {
				p.SetUse(Use{IdleTimeout: idle / 2, Mode: contract.ModeObserve})
			}
		},
		"while another Service settles": func(c *cluster, _ ...*proxy) {
			c.edit(func(s *sleep.State) { s.NotBefore = now().Add(time.Hour) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				a, b := c.proxy("a"), c.proxy("b")
				a.SetUse(in(contract.ModeObserve))
				b.SetUse(in(contract.ModeObserve))
				since := c.state().Since
				until(since, idle+100*time.Second)
				change(c, a, b)
				asleep := contract.Observed{Sleeps: 1, Asleep: 100, Saved: contract.Saved{Replicas: 300}}
				wantObserved(t, a, asleep, since.Add(idle))
				until(since, idle+200*time.Second)
				asleep.Asleep, asleep.Saved.Replicas = 200, 600
				wantObserved(t, a, asleep, since.Add(idle))
				wantObserved(t, b, asleep, since.Add(idle))
				b.mustAcquire()
				wantHistory(t, c, contract.History{Observed: asleep})
				wantObserved(t, a, asleep, time.Time{})
			})
		})
	}
}

// When TPA goes on from observing, what has been observed until then is written with the next write, once.
func TestWhatWasObservedIsNotForgottenWithTheMode(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.proxy("a"), c.proxy("b")
		a.SetUse(in(contract.ModeObserve))
		b.SetUse(in(contract.ModeObserve))
		until(c.state().Since, idle+100*time.Second)
		a.SetUse(use)
		b.SetUse(use)
		after(time.Minute)
		wantPhase(t, c, sleep.Asleep)
		observed := contract.Observed{Sleeps: 1, Asleep: 100, Saved: contract.Saved{Replicas: 300}}
		wantHistory(t, c, contract.History{Sleeps: 1, Observed: observed})
		a.mustAcquire()
		a.Release(time.Now())
		if diff := cmp.Diff(observed, c.history().Observed); diff != "" {
			t.Errorf("after the wake (-want +got):\n%s", diff)
		}
	})
}

// What would not sleep is not observed to.
func TestNothingWouldBeSavedByABlockedTarget(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		p.SetUse(Use{IdleTimeout: idle, Mode: contract.ModeObserve, Blocked: "somebody else's"})
		after(2 * idle)
		wantObserved(t, p, contract.Observed{}, time.Time{})
		p.mustAcquire()
		p.Release(time.Now())
		if h := c.lease().Annotations[contract.HistoryKey]; h != "" {
			t.Errorf("history %s", h)
		}
	})
}

func TestPausedTargetStaysAwake(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a", nobody)
		p.SetUse(in(contract.ModePaused))
		after(time.Second)
		calls := c.counts()
		after(3 * idle)
		if len(calls()) != 0 {
			t.Errorf("calls %v at rest", calls())
		}
		c.proxy("b", nobody) // of an earlier version, that knows no mode
		after(3 * idle)
		wantReplicas(t, c, 3)
		if !p.open() {
			t.Error("the gate is closed")
		}
		p.SetUse(use)
		after(idle)
		wantPhase(t, c, sleep.Asleep)
		wantReplicas(t, c, 0, 0)
	})
}

// To pause is no connection: the history counts no wake. Of two proxies, one wakes it and says so.
func TestSleepingTargetIsWokenWhenItIsPaused(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		var of transitions
		a, b := c.proxy("a", nobody, of.of), c.proxy("b", nobody, of.of)
		after(idle + time.Minute)
		wantReplicas(t, c, 0, 0)
		for _, p := range []*proxy{a, b} {
			p.SetReady(0, time.Time{})
			p.SetUse(in(contract.ModePaused))
		}
		after(time.Minute)
		wantPhase(t, c, sleep.Awake)
		wantReplicas(t, c, 3, 0, 3)
		of.want(t,
			Transition{Change: FellAsleep, Replicas: 3, Why: NoConnections, IdleTimeout: idle},
			Transition{Change: Waking, Replicas: 3, Paused: true})
		if h := c.history(); h.Sleeps != 1 || h.Wakes != 0 || h.LastWake != nil {
			t.Errorf("%+v", h)
		}
		calls := c.counts()
		after(time.Hour) // its pods do not come up
		if len(calls()) != 0 {
			t.Errorf("calls %v at rest", calls())
		}
		c.scaleTo(0) // by hand
		after(time.Hour)
		wantReplicas(t, c, 0, 0, 3)
		a.mustAcquire()
		a.Release(time.Now())
	})
}

// To pause is to want it awake, also where somebody has scaled it to 0 of which TPA has not taken notice yet.
func TestTargetAtZeroByHandIsWokenWhenItIsPaused(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.proxy("a", nobody), c.proxy("b", nobody)
		for _, p := range []*proxy{a, b} {
			p.mustAcquire()
			after(time.Second)
			p.Release(time.Now())
		}
		after(time.Second)
		c.scaleTo(0)
		for _, p := range []*proxy{a, b} {
			p.SetReady(0, time.Time{})
		}
		after(time.Second)
		wantPhase(t, c, sleep.Awake)
		for _, p := range []*proxy{a, b} {
			p.SetUse(in(contract.ModePaused))
		}
		after(time.Second)
		wantReplicas(t, c, 1, 1)
		for _, p := range []*proxy{a, b} {
			p.SetReady(1, time.Now())
		}
		after(time.Minute)
		for _, p := range []*proxy{a, b} {
			p.SetReady(0, time.Time{})
		}
		c.scaleTo(0)
		after(time.Hour)
		wantReplicas(t, c, 0, 1)
		p := c.proxy("c", nobody)
		p.SetReady(0, time.Time{})
		p.SetUse(in(contract.ModePaused))
		after(time.Minute)
		wantReplicas(t, c, 1, 1, 1)
	})
}

// While nothing happens, nobody looks whether somebody has come.
func TestPausedTargetAtZeroByHandIsLeftInPeace(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		asked := 0
		p := c.proxy("a", func(config *Config) { config.Held = func() bool { asked++; return false } })
		p.SetUse(in(contract.ModePaused))
		p.SetReady(3, time.Now())
		after(time.Second)
		c.scaleTo(0)
		p.SetReady(0, time.Time{})
		after(time.Second)
		before := asked
		after(time.Hour)
		if asked != before {
			t.Errorf("asked %d times whether a connection waits", asked-before)
		}
		wantReplicas(t, c, 0)
	})
}

// What does not exist is not looked for again and again, and kept when it is back.
func TestPausedTargetThatIsMissing(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a", nobody)
		after(idle + time.Minute)
		c.mu.Lock()
		was := c.scale
		c.scale = nil
		c.mu.Unlock()
		p.SetReady(0, time.Time{})
		calls := c.counts()
		p.SetUse(in(contract.ModePaused))
		after(time.Hour)
		if n := calls()["get scale"]; n != 1 {
			t.Errorf("calls %v, want one look", calls())
		}
		c.mu.Lock()
		c.scale = was
		c.setScale(3)
		c.mu.Unlock()
		p.SetReady(3, time.Now())
		after(idle)
		if claim, ok := c.state().Claims["a"]; !ok || !claim.Active() {
			t.Errorf("claims %v", c.state().Claims)
		}
	})
}

func TestHeardOf(t *testing.T) {
	heard := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		requested, want time.Duration // after that
		never           bool
	}{
		{-time.Hour, -time.Hour, false}, {-30 * time.Second, -30 * time.Second, false}, {0, 0, false},
		{30 * time.Second, 0, false}, {maxSkew, 0, false}, {maxSkew + time.Second, 0, true}, {1000 * time.Hour, 0, true},
	} {
		want := heard.Add(tt.want)
		if tt.never {
			want = time.Time{}
		}
		if got := HeardOf(heard.Add(tt.requested), heard); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", tt.requested, got, want)
		}
	}
	if !HeardOf(time.Time{}, heard).IsZero() {
		t.Error("a request that nobody made")
	}
}

// asked is the usual Use with a request to sleep.
func asked(at time.Time) Use { return Use{IdleTimeout: idle, SleepRequested: at} }

func TestRequestToSleep(t *testing.T) {
	for name, tt := range map[string]struct {
		ago    time.Duration // of the last use
		ahead  time.Duration // the requester's clock
		before func(c *cluster, p *proxy)
		sleeps bool
	}{
		"after the last use":              {ago: 10 * time.Second, sleeps: true},
		"right after it":                  {ago: time.Millisecond, sleeps: true},
		"by a clock that is ahead":        {ago: 10 * time.Second, ahead: 30 * time.Second, sleeps: true},
		"by a clock that is behind":       {ago: 10 * time.Second, ahead: -30 * time.Second},
		"by one that is behind, long ago": {ago: 40 * time.Second, ahead: -30 * time.Second, sleeps: true},
		"by a clock that is far ahead":    {ago: 10 * time.Second, ahead: 2 * time.Minute},
		"while it settles": {ago: 10 * time.Second, before: func(c *cluster, _ *proxy) {
			c.edit(func(s *sleep.State) { s.NotBefore = now().Add(time.Hour) })
		}},
		"while a connection is open": {ago: 10 * time.Second, before: func(_ *cluster, p *proxy) { p.mustAcquire() }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				var why []SleepReason
				note := func(config *Config) { config.OnSleep = func(w SleepReason) { why = append(why, w) } }
				p, other := c.proxy("a", note), c.proxy("b", note)
				p.mustAcquire()
				other.mustAcquire()
				other.Release(time.Now())
				p.Release(time.Now())
				after(tt.ago)
				if tt.before != nil {
					tt.before(c, p)
				}
				p.SetUse(asked(now().Add(tt.ahead)))
				other.SetUse(asked(now().Add(tt.ahead)))
				after(time.Second)
				if asleep := c.state().Phase == sleep.Asleep; asleep != tt.sleeps {
					t.Errorf("asleep %t after a second, want %t", asleep, tt.sleeps)
				}
				if tt.sleeps && !slices.Equal(why, []SleepReason{Requested}) {
					t.Errorf("it sleeps because of %s", why)
				}
			})
		})
	}
}

// A use makes the request void, also one that by the clock of who made it was before it, and whoever comes wakes the target.
func TestUseMakesARequestToSleepVoid(t *testing.T) {
	for _, ahead := range []time.Duration{0, 30 * time.Second} {
		bubble(t, 3, func(t *testing.T, c *cluster) {
			p := c.proxy("a")
			after(time.Second)
			p.SetUse(asked(now().Add(ahead)))
			after(time.Second)
			wantReplicas(t, c, 0, 0)
			p.mustAcquire()
			p.Release(time.Now())
			after(idle - time.Second)
			wantPhase(t, c, sleep.Awake)
			wantReplicas(t, c, 3, 0, 3)
			after(time.Minute)
			wantPhase(t, c, sleep.Asleep)
		})
	}
}
