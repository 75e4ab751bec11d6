package target

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zaptest"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

const idle = 10 * time.Minute

var (
	use    = Use{IdleTimeout: idle}
	source = Source{Service: "web", Port: 80, Client: netip.MustParseAddrPort("192.0.2.7:40000")}
)

// proxy is a Keeper that runs.
type proxy struct {
	*Keeper
	t     *testing.T
	stop  context.CancelFunc
	ended chan struct{}
}

// keeper makes the Keeper of a pod, with three backends ready.
func (c *cluster) keeper(pod string, changes ...func(*Config)) *Keeper {
	c.t.Helper()
	config := Config{
		Namespace: namespace, Target: web, Pod: pod, Process: pod + "/1", Store: c.store, Log: zaptest.NewLogger(c.t),
		Gone:   func([]string) []string { return nil },
		Exists: func(context.Context, string) (bool, error) { return true, nil },
	}
	for _, change := range changes {
		change(&config)
	}
	k := New(config)
	k.SetUse(use)
	k.SetReady(3, time.Now())
	c.mu.Lock()
	c.watchers[k] = true
	c.mu.Unlock()
	return k
}

// proxy starts it.
func (c *cluster) proxy(pod string, changes ...func(*Config)) *proxy {
	c.t.Helper()
	k := c.keeper(pod, changes...)
	ctx, stop := context.WithCancel(context.Background())
	p := &proxy{Keeper: k, t: c.t, stop: stop, ended: make(chan struct{})}
	go func() { defer close(p.ended); k.Run(ctx) }()
	c.t.Cleanup(func() { stop(); <-p.ended })
	synctest.Wait()
	return p
}

// acquire waits for the gate and returns how long that took.
func (p *proxy) acquire(atMost time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), atMost)
	defer cancel()
	start := time.Now()
	err := p.Acquire(ctx, source)
	took := time.Since(start)
	synctest.Wait()
	return took, err
}

func (p *proxy) mustAcquire() {
	p.t.Helper()
	if _, err := p.acquire(time.Second); err != nil {
		p.t.Fatal(err)
	}
}

// open reports whether a connection would be let in at once.
func (p *proxy) open() bool {
	if !p.TryAcquire() {
		return false
	}
	p.Release(time.Now())
	return true
}

func wantReplicas(t *testing.T, c *cluster, want int32, writes ...int32) {
	t.Helper()
	got, written := c.replicas()
	if got != want || !slices.Equal(written, writes) {
		t.Errorf("%d replicas after the writes %v, want %d after %v", got, written, want, writes)
	}
}

func wantPhase(t *testing.T, c *cluster, want sleep.Phase) {
	t.Helper()
	if got := c.state().Phase; got != want {
		t.Errorf("phase %s, want %s", got, want)
	}
}

func TestTargetSleepsWhenIdleAndWakesToWhatItHad(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		var sleeps, wakes int
		p := c.proxy("a", func(config *Config) {
			config.OnSleep, config.OnWake = func(SleepReason) { sleeps++ }, func() { wakes++ }
		})
		p.mustAcquire()
		if claim, ok := c.state().Claims["a"]; !ok || !claim.Active() {
			t.Fatalf("claims %v, want an active one of a", c.state().Claims)
		}
		if !p.open() || !p.Awake() {
			t.Error("a second connection is not let in at once")
		}
		after(3 * idle)
		wantReplicas(t, c, 3)
		released := now()
		p.Release(time.Now())
		after(idle/2 - time.Second)
		if !p.open() {
			t.Error("the claim is given up although the target was used a moment ago")
		}
		released = released.Add(idle/2 - time.Second)
		after(idle/2 + time.Second)
		if claim := c.state().Claims["a"]; !claim.IdleSince.Equal(released) {
			t.Errorf("idle since %s, want %s", claim.IdleSince, released)
		}
		if p.open() {
			t.Error("open without a claim")
		}
		wantReplicas(t, c, 3)
		after(idle / 2)
		wantReplicas(t, c, 0, 0)
		if got := c.state(); got.Phase != sleep.Asleep || got.Replicas != 3 || !got.Owed {
			t.Errorf("state %+v, want asleep with 3 replicas owed", got)
		}
		p.SetReady(0, time.Now())
		if p.Awake() || p.open() {
			t.Error("awake or open while asleep")
		}
		after(24 * time.Hour)
		wantReplicas(t, c, 0, 0)

		p.mustAcquire()
		wantReplicas(t, c, 3, 0, 3)
		wantPhase(t, c, sleep.Awake)
		p.SetReady(3, time.Now())
		p.Release(time.Now())
		if sleeps != 1 || wakes != 1 {
			t.Errorf("%d sleeps and %d wakes were reported, want one each", sleeps, wakes)
		}
		labels, annotations := c.lease().Labels, c.lease().Annotations
		if labels[contract.LeaseLabel] != contract.LeaseTarget || annotations[contract.TargetKey] != "deployment/web" {
			t.Errorf("labels %v, annotations %v do not say which target", labels, annotations)
		}
	})
}

func TestTargetThatNobodyEverVisitsSleepsToo(t *testing.T) {
	bubble(t, 2, func(t *testing.T, c *cluster) {
		c.proxy("a")
		after(idle - time.Second)
		wantReplicas(t, c, 2)
		after(2 * time.Second)
		wantReplicas(t, c, 0, 0)
	})
}

func TestWakeReplicasAreAsConfigured(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		after(idle + time.Second)
		p.SetReady(0, time.Now())
		p.SetUse(Use{IdleTimeout: idle, WakeReplicas: 5})
		p.mustAcquire()
		wantReplicas(t, c, 5, 0, 5)
		p.Release(time.Now())
	})
}

func TestTargetScaledUpByHandIsAwakeAndIdleFromNow(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		after(idle + time.Second)
		p.SetReady(0, time.Now())
		wantPhase(t, c, sleep.Asleep)
		after(time.Hour)
		c.scaleTo(2)
		p.SetReady(2, time.Now())
		after(sleep.Recheck)
		wantPhase(t, c, sleep.Awake)
		after(idle - sleep.Recheck - time.Second)
		wantReplicas(t, c, 2, 0)
		after(2*time.Second + sleep.Recheck)
		wantReplicas(t, c, 0, 0, 0)
	})
}

// Who scales the target up again and again has it, until somebody uses it.
func TestTargetThatOthersScaleUpAgainAndAgainIsLeftAwake(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		told := 0
		p := c.proxy("a", func(config *Config) { config.OnPhase = func() { told++ } })
		var writes []int32
		revert := func() {
			t.Helper()
			after(idle + sleep.Recheck)
			writes = append(writes, 0)
			wantReplicas(t, c, 0, writes...)
			c.scaleTo(1)
			after(sleep.Recheck) // its pod has been ready all along
			wantPhase(t, c, sleep.Awake)
		}
		for range sleep.MaxReverted {
			if p.View().Contested {
				t.Error("contested too early")
			}
			revert()
		}
		after(24 * time.Hour)
		wantReplicas(t, c, 1, writes...)
		if !p.View().Contested {
			t.Error("nobody is told")
		}
		before := told
		p.mustAcquire()
		if p.View().Contested || told == before {
			t.Error("a use changes nothing, or is not told")
		}
		p.Release(time.Now())
		after(idle / 2)
		for range sleep.MaxReverted - 1 {
			revert()
		}
		if p.View().Contested {
			t.Error("reverts of before the use count")
		}
	})
}

func TestClaimThatIsLostClosesTheGateAndIsWonBack(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		p.mustAcquire()
		was, err := c.store.read(t.Context(), namespace, web)
		if err != nil {
			t.Fatal(err)
		}
		closed, writes := make(chan bool, 1), 0
		c.intercept(func(_ context.Context, call string) error {
			if call == "update lease" {
				if writes++; writes == 2 { // the first is the one below
					closed <- !p.TryAcquire()
				}
			}
			return nil
		})
		lost := was.state
		lost.Claims, lost.Seq = nil, lost.Seq+1
		written, err := c.store.swap(t.Context(), namespace, web, was, lost)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.intercept(nil)
		if state := c.state(); state.Seq != written.state.Seq+1 || !state.Claims["a"].Active() {
			t.Errorf("state %+v, want the claim back in one write", state)
		}
		if len(closed) != 1 || !<-closed {
			t.Error("the gate is open while the claim is lost")
		}
		if !p.open() {
			t.Error("the gate stays closed")
		}
		p.Release(time.Now())
	})
}

func TestTwoKeepersSleepOnlyWhenBothAreIdle(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.proxy("a"), c.proxy("b")
		a.mustAcquire()
		b.mustAcquire()
		a.Release(time.Now())
		after(10 * idle)
		wantReplicas(t, c, 3)
		b.Release(time.Now())
		after(idle - time.Second)
		wantReplicas(t, c, 3)
		after(5 * time.Second)
		wantReplicas(t, c, 0, 0)
		a.SetReady(0, time.Now())
		b.SetReady(0, time.Now())
		if a.open() || b.open() || a.Awake() || b.Awake() {
			t.Error("a proxy dials a target that is asleep")
		}
		b.mustAcquire()
		wantReplicas(t, c, 3, 0, 3)
		if a.open() || !a.Awake() {
			t.Error("a opens without a claim of its own, or does not see that b woke the target")
		}
		a.mustAcquire()
		wantReplicas(t, c, 3, 0, 3)
		a.Release(time.Now())
		b.Release(time.Now())
	})
}

func TestConnectionThatComesDuringTheSleepWaitsAndWakesTheTarget(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.proxy("a")
		b := c.proxy("b")
		c.intercept(func(_ context.Context, call string) error {
			if call == "update scale" {
				go func() { _ = b.Acquire(context.Background(), source) }()
				time.Sleep(time.Second) // the write is under way meanwhile
				if b.open() {
					t.Error("b dials while a puts the target to sleep")
				}
				c.intercept(nil)
			}
			return nil
		})
		after(idle + 5*time.Second)
		if !b.open() {
			t.Fatal("b does not hold the claim")
		}
		b.SetReady(0, time.Now())
		after(sleep.Recheck)
		wantReplicas(t, c, 3, 0, 3)
		b.Release(time.Now())
	})
}

func TestBlockedAndDeniedTargetsStayAwake(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		why := "Service x selects no pod of it"
		var asked []string
		p := c.proxy("a", func(config *Config) {
			config.Allow = func(selector string) string { asked = append(asked, selector); return why }
		})
		p.SetUse(Use{IdleTimeout: idle, Blocked: "not yet"})
		after(5 * idle)
		if len(asked) > 0 {
			t.Errorf("asked %v about a target that is blocked", asked)
		}
		p.SetUse(use)
		after(5 * idle)
		wantReplicas(t, c, 3)
		if diff := cmp.Diff([]string{"app=web"}, asked); diff != "" {
			t.Errorf("asked with (-want +got):\n%s", diff)
		}
		why = ""
		p.SetUse(use)
		after(time.Second)
		wantReplicas(t, c, 0, 0)
	})
}

// What is looked at anew right after Allow has denied, as its Manager does, is no permission: it is asked again.
func TestDenialThatIsLiftedAtOnceIsAskedAgain(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		asked := 0
		k := c.keeper("a", func(config *Config) {
			config.Allow = func(string) string { asked++; return "Service x selects no pod of it" }
		})
		for asked < 3 {
			action, was := k.next(false)
			if action.Kind == sleep.Wait {
				if len(k.kick) > 0 {
					<-k.kick
				} else {
					after(time.Until(action.At))
				}
				continue
			}
			k.do(t.Context(), action, was)
			if action.Kind == sleep.ReadScale {
				k.SetUse(use)
			}
			if wantReplicas(t, c, 3); t.Failed() {
				return
			}
		}
	})
}
