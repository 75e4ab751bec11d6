package target

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/sleep"
)

// over reports whether Run has returned.
func (p *proxy) over() bool {
	synctest.Wait()
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// A connection that came while the write is under way would use a claim that is gone when the write arrives.
func TestGateIsClosedBeforeTheClaimIsGivenUp(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		p.mustAcquire()
		p.Release(time.Now())
		opens := make(chan bool, 10)
		c.intercept(func(_ context.Context, call string) error {
			if call == "update lease" {
				opens <- p.open()
				return nil
			}
			return nil
		})
		time.Sleep(idle / 2)
		synctest.Wait()
		if len(opens) != 1 || <-opens {
			t.Error("the gate is open, or no claim is given up")
		}
		c.intercept(nil)
		after(time.Minute)
	})
}

func TestRetiredKeeperGivesItsClaimUpAfterTheLastConnection(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		p.mustAcquire()
		p.Retire()
		after(time.Hour)
		if p.over() || !c.state().Claims["a"].Active() {
			t.Error("the claim is given up under a connection")
		}
		p.Release(time.Now())
		if !p.over() {
			t.Fatal("it does not end")
		}
		if state := c.state(); len(state.Claims) > 0 || state.Phase != sleep.Awake || !state.Used.Equal(now()) {
			t.Errorf("state %+v, want awake, without a claim, used until now", state)
		}
		wantReplicas(t, c, 3)
		if p.SetUse(use) {
			t.Error("a Keeper that has ended takes up another use")
		}
		if err := p.Acquire(t.Context(), source); !errors.Is(err, front.ErrRetired) || p.TryAcquire() {
			t.Errorf("a Keeper that has ended lets a connection pass or wait: %v", err)
		}
	})
}

func TestRetiredKeeperThatIsNeededAgainGoesOn(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		p.mustAcquire()
		p.Retire()
		synctest.Wait()
		if !p.SetUse(use) {
			t.Fatal("it has ended under a connection")
		}
		p.Release(time.Now())
		after(idle + time.Second)
		if p.over() {
			t.Error("it has ended")
		}
		wantReplicas(t, c, 0, 0)
	})
}

func TestEndGivesTheClaimUpUnlessSomebodyIsInside(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.proxy("a"), c.proxy("b")
		a.mustAcquire()
		b.mustAcquire()
		a.Release(time.Now())
		a.stop()
		b.stop()
		if !a.over() || !b.over() {
			t.Fatal("Run does not end with its context")
		}
		claims := c.state().Claims
		if _, ok := claims["a"]; ok || !claims["b"].Active() {
			t.Errorf("claims %v, want that of b only, which has a connection", claims)
		}
		b.Release(time.Now())
	})
}

func TestEndDoesNotLeaveASleepHalfDone(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		c.intercept(func(_ context.Context, call string) error {
			if call == "update scale" {
				p.stop()
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		after(idle + time.Second)
		if !p.over() {
			t.Fatal("Run does not end with its context")
		}
		wantPhase(t, c, sleep.Asleep)
		wantReplicas(t, c, 0, 0)
	})
}

// An earlier process of this pod may have died with its claim active, and a write of it may still be on its way.
func TestRestartedProxyDoesNotTrustTheClaimOfItsPod(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.edit(func(s *sleep.State) { s.Claims = map[string]sleep.Claim{"a": {}} })
		seq := c.state().Seq
		p := c.proxy("a")
		p.Observe(c.lease())
		synctest.Wait()
		if p.open() {
			t.Error("open by a claim that this process has not written")
		}
		p.mustAcquire()
		if got := c.state().Seq; got <= seq {
			t.Errorf("the claim was not written anew: seq %d after %d", got, seq)
		}
		p.Release(time.Now())
	})
}

func TestClaimOfAnEarlierProcessDoesNotKeepTheTargetAwake(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.edit(func(s *sleep.State) { s.Claims = map[string]sleep.Claim{"a": {}} })
		c.proxy("a")
		after(idle + time.Second)
		wantReplicas(t, c, 0, 0)
	})
}

func TestClaimOfAPodThatIsGoneIsDroppedOnceTheServerSaysSo(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.edit(func(s *sleep.State) { s.Claims = map[string]sleep.Claim{"b": {}} })
		exists, asked := true, 0
		p := c.proxy("a", func(config *Config) {
			config.Gone = func(holders []string) []string {
				return slices.DeleteFunc(slices.Clone(holders), func(h string) bool { return h == "a" })
			}
			config.Exists = func(_ context.Context, holder string) (bool, error) {
				asked++
				if holder != "b" {
					t.Errorf("asked for %s", holder)
				}
				if asked == 1 {
					return false, errors.New("connection refused")
				}
				return exists, nil
			}
		})
		after(2 * idle)
		wantReplicas(t, c, 3)
		if most := int(2*idle/sleep.Recheck) + 2; asked < 2 || asked > most {
			t.Errorf("asked %d times, want again after a failure, and at most %d times", asked, most)
		}
		exists = false
		p.PodsGone()
		after(sleep.Recheck)
		if claims := c.state().Claims; len(claims) > 0 {
			t.Errorf("claims %v, want none", claims)
		}
		after(idle + time.Second)
		wantReplicas(t, c, 0, 0)
	})
}

func TestPodThatGoesIsNoticedWhenThePodsChange(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.edit(func(s *sleep.State) { s.Claims = map[string]sleep.Claim{"b": {}} })
		var gone []string
		p := c.proxy("a", func(config *Config) {
			config.Gone = func([]string) []string { return slices.Clone(gone) }
			config.Exists = func(context.Context, string) (bool, error) { return false, nil }
		})
		after(2 * idle)
		if !c.state().Claims["b"].Active() {
			t.Fatal("the claim of a pod that is there is dropped")
		}
		p.gate.mu.Lock() // which Gone is called with
		gone = []string{"b"}
		p.gate.mu.Unlock()
		p.PodsGone()
		synctest.Wait()
		if claims := c.state().Claims; len(claims) > 0 {
			t.Errorf("claims %v, want none", claims)
		}
	})
}

func TestLeaseThatIsDeletedClosesTheGateAndIsMadeAnew(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		p.mustAcquire()
		closed := make(chan bool, 1)
		c.intercept(func(_ context.Context, call string) error {
			if call == "create lease" {
				closed <- !p.TryAcquire()
			}
			return nil
		})
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: web.Lease()}}
		if err := c.client.Delete(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(closed) != 1 || !<-closed {
			t.Error("the gate is open without a Lease, or no Lease is made")
		}
		if !c.state().Claims["a"].Active() || !p.open() {
			t.Errorf("state %+v, open %t, want the claim back", c.state(), p.open())
		}
		p.Release(time.Now())
	})
}

// The API server makes a Lease out of a PUT to none. A proxy that has not seen the deletion must not bring back what the
// Lease said long ago: others may have claimed since, and would find their claims gone.
func TestLeaseThatIsDeletedIsNotRevivedAsItWas(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.edit(func(s *sleep.State) { s.Claims = map[string]sleep.Claim{"a": {IdleSince: now()}} })
		was, err := c.store.read(t.Context(), namespace, web)
		if err != nil {
			t.Fatal(err)
		}
		c.edit(func(s *sleep.State) { s.Claims["b"] = sleep.Claim{} })
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: web.Lease()}}
		if err := c.client.Delete(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
		asleep := was.state
		asleep.Phase, asleep.By = sleep.Sleeping, "a/1"
		if _, err := c.store.swap(t.Context(), namespace, web, was, asleep); outcome(err) != sleep.Conflict {
			t.Errorf("swap: %v, want a conflict", err)
		}
		if lease := c.lease(); lease != nil {
			t.Errorf("the Lease is back: %v", lease.Annotations)
		}
	})
}

func TestDamagedStateCostsAFullIdleTimeAndIsRepaired(t *testing.T) {
	for _, damage := range []string{"", "{", `{"phase":"Dozing"}`, `{"phase":"Asleep","since":"yesterday"}`} {
		t.Run(damage, func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
					Namespace: namespace, Name: web.Lease(), Annotations: map[string]string{contract.StateKey: damage},
				}}
				if err := c.client.Create(t.Context(), lease); err != nil {
					t.Fatal(err)
				}
				p := c.proxy("a")
				after(idle - time.Second)
				wantReplicas(t, c, 3)
				if p.open() {
					t.Error("open by a claim that nobody can read")
				}
				p.mustAcquire()
				wantPhase(t, c, sleep.Awake)
				p.Release(time.Now())
				after(idle + time.Second)
				wantReplicas(t, c, 0, 0)
			})
		})
	}
}

// The watch may be behind this process's own writes.
func TestOldNewsOfTheWatchChangeNothing(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		old := c.lease()
		p.mustAcquire()
		p.Observe(old)
		if !p.open() {
			t.Error("an old version of the Lease closes the gate")
		}
		p.Release(time.Now())
	})
}
