package target

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"tpa.dev/tpa/proxy/sleep"
)

// asleep has a target with 3 replicas put to sleep by a proxy that then goes away.
func (c *cluster) asleep() {
	c.t.Helper()
	p := c.proxy("a")
	after(idle + time.Second)
	p.stop()
	<-p.ended
	wantReplicas(c.t, c, 0, 0)
}

func (c *cluster) steward() *Steward { return NewSteward(c.store, "c1") }

// hold holds the target, asking again after a moment if it has just been woken.
func (c *cluster) hold(s *Steward) (HoldState, error) {
	got, err := s.Hold(c.t.Context(), namespace, web)
	if errors.Is(err, ErrBusy) {
		after(Doubt)
		got, err = s.Hold(c.t.Context(), namespace, web)
	}
	return got, err
}

func TestHoldWakesATargetThatTPAPutToSleep(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.asleep()
		s := c.steward()
		for range 2 { // it may be repeated
			got, err := c.hold(s)
			if err != nil || got != (HoldState{Found: true}) {
				t.Fatalf("%+v, %v, want found and awake", got, err)
			}
		}
		wantReplicas(t, c, 3, 0, 3)
		if state := c.state(); state.Phase != sleep.Awake || !state.Claims[stewardHolder].Active() || !s.Held(c.lease()) {
			t.Errorf("state %+v, want awake and held", state)
		}
		p := c.proxy("b", func(config *Config) { config.Gone = nonePods })
		after(5 * idle)
		wantReplicas(t, c, 3, 0, 3)
		p.Retire()
	})
}

// nonePods is what a proxy says of holders that are no pods: nothing.
func nonePods(holders []string) []string {
	return slices.DeleteFunc(slices.Clone(holders), func(h string) bool { return h[0] == '/' })
}

func TestHoldOfATargetThatIsAwakeOnlyClaims(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.edit(func(*sleep.State) {})
		got, err := c.hold(c.steward())
		if err != nil || got != (HoldState{Found: true}) {
			t.Fatalf("%+v, %v, want found and awake", got, err)
		}
		wantReplicas(t, c, 3)
		if !c.state().Claims[stewardHolder].Active() {
			t.Errorf("state %+v, want a claim", c.state())
		}
	})
}

// What was ready before a sleep may be about to go.
func TestHoldOfATargetThatHasJustBeenWokenIsBusyForAMoment(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.asleep()
		s := c.steward()
		if _, err := s.Hold(t.Context(), namespace, web); !errors.Is(err, ErrBusy) {
			t.Errorf("%v, want %v", err, ErrBusy)
		}
		wantReplicas(t, c, 3, 0, 3)
		after(Doubt - time.Millisecond)
		if _, err := s.Hold(t.Context(), namespace, web); !errors.Is(err, ErrBusy) {
			t.Errorf("%v, want %v", err, ErrBusy)
		}
		after(time.Millisecond)
		if _, err := s.Hold(t.Context(), namespace, web); err != nil {
			t.Error(err)
		}
	})
}

// The time since a wake is not told by the clock of who woke the target.
func TestHoldWaitsOutTheDoubtWhateverTheClocksSay(t *testing.T) {
	for _, ahead := range []time.Duration{-30 * time.Second, 30 * time.Second} {
		bubble(t, 3, func(t *testing.T, c *cluster) {
			c.edit(func(s *sleep.State) { s.Since = now().Add(ahead) })
			s := c.steward()
			if _, err := s.Hold(t.Context(), namespace, web); !errors.Is(err, ErrBusy) {
				t.Errorf("woken just now by a clock that is %s ahead: %v, want %v", ahead, err, ErrBusy)
			}
			after(Doubt)
			if _, err := s.Hold(t.Context(), namespace, web); err != nil {
				t.Errorf("woken %s ago by a clock that is %s ahead: %v", Doubt, ahead, err)
			}
		})
	}
}

// A target that falls asleep between the two looks, at its Lease and at its scale, has 0 replicas by nobody's decision.
func TestHoldOfATargetThatFallsAsleepMeanwhileWakesIt(t *testing.T) {
	for name, before := range map[string]func(*cluster){
		"awake":    func(c *cluster) { c.edit(func(*sleep.State) {}) },
		"no Lease": func(*cluster) {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				before(c)
				c.intercept(func(_ context.Context, call string) error {
					if call == "get scale" {
						c.intercept(nil)
						c.asleep()
					}
					return nil
				})
				s := c.steward()
				if got, err := s.Hold(t.Context(), namespace, web); !errors.Is(err, ErrBusy) {
					t.Errorf("%+v, %v, want %v", got, err, ErrBusy)
				}
				if got, err := c.hold(s); err != nil || got != (HoldState{Found: true}) {
					t.Errorf("%+v, %v, want found and awake", got, err)
				}
				wantReplicas(t, c, 3, 0, 3)
			})
		})
	}
}

func TestHoldLeavesAloneWhatOthersDecided(t *testing.T) {
	t.Run("no Lease", func(t *testing.T) {
		bubble(t, 3, func(t *testing.T, c *cluster) {
			got, err := c.steward().Hold(t.Context(), namespace, web)
			if err != nil || got != (HoldState{Found: true}) || c.lease() != nil {
				t.Errorf("%+v, %v, Lease %v, want found and no Lease made", got, err, c.lease())
			}
		})
	})
	t.Run("no Lease and no replicas", func(t *testing.T) {
		bubble(t, 0, func(t *testing.T, c *cluster) {
			got, err := c.steward().Hold(t.Context(), namespace, web)
			if err != nil || got != (HoldState{Found: true, Asleep: true}) {
				t.Errorf("%+v, %v, want found and asleep", got, err)
			}
			wantReplicas(t, c, 0)
		})
	})
	t.Run("scaled to 0 by hand", func(t *testing.T) {
		bubble(t, 0, func(t *testing.T, c *cluster) {
			c.edit(func(*sleep.State) {})
			got, err := c.steward().Hold(t.Context(), namespace, web)
			if err != nil || got != (HoldState{Found: true, Asleep: true}) {
				t.Errorf("%+v, %v, want found and asleep", got, err)
			}
			wantReplicas(t, c, 0)
		})
	})
	t.Run("the workload is gone", func(t *testing.T) {
		bubble(t, 3, func(t *testing.T, c *cluster) {
			c.asleep()
			c.mu.Lock()
			c.scale = nil
			c.mu.Unlock()
			got, err := c.steward().Hold(t.Context(), namespace, web)
			if err != nil || got != (HoldState{}) {
				t.Errorf("%+v, %v, want not found", got, err)
			}
		})
	})
}

func TestHoldWhileAProxyPutsTheTargetToSleepIsBusyUntilTakenOver(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.edit(func(s *sleep.State) { s.Phase, s.By, s.Replicas, s.Owed = sleep.Sleeping, "a/1", 3, true })
		s := c.steward()
		if _, err := s.Hold(t.Context(), namespace, web); !errors.Is(err, ErrBusy) {
			t.Fatalf("%v, want %v", err, ErrBusy)
		}
		after(sleep.TakeOver - time.Second)
		if _, err := s.Hold(t.Context(), namespace, web); !errors.Is(err, ErrBusy) {
			t.Fatalf("%v, want %v", err, ErrBusy)
		}
		after(2 * time.Second)
		got, err := c.hold(s)
		if err != nil || got != (HoldState{Found: true}) {
			t.Fatalf("%+v, %v, want the sleep taken over and the target awake", got, err)
		}
		wantReplicas(t, c, 3, 0, 3) // the write of 0 keeps the other's from arriving later
		wantPhase(t, c, sleep.Awake)
	})
}

func TestHoldReportsFailures(t *testing.T) {
	for _, call := range []string{"get lease", "get scale", "update lease", "update scale"} {
		t.Run(call, func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				c.asleep()
				broken := errors.New("broken")
				c.intercept(func(_ context.Context, got string) error {
					if got == call {
						return broken
					}
					return nil
				})
				s := c.steward()
				if _, err := s.Hold(t.Context(), namespace, web); !errors.Is(err, broken) {
					t.Errorf("%v, want %v", err, broken)
				}
				c.intercept(nil)
				after(time.Minute)
				if got, err := c.hold(s); err != nil || got != (HoldState{Found: true}) {
					t.Errorf("once it is over: %+v, %v", got, err)
				}
				wantReplicas(t, c, 3, 0, 3)
			})
		})
	}
}

func TestReleaseEndsAHold(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		s := c.steward()
		if err := s.Release(t.Context(), namespace, web); err != nil || c.lease() != nil {
			t.Fatalf("without a Lease: %v, Lease %v", err, c.lease())
		}
		c.asleep()
		if _, err := c.hold(s); err != nil {
			t.Fatal(err)
		}
		if err := NewSteward(c.store, "c2").Release(t.Context(), namespace, web); err != nil { // of any process
			t.Fatal(err)
		}
		if state := c.state(); s.Held(c.lease()) || !state.Used.Equal(now()) {
			t.Errorf("state %+v, want not held, used until now", state)
		}
		c.proxy("b")
		after(idle - time.Second)
		wantReplicas(t, c, 3, 0, 3)
		after(2 * time.Second)
		wantReplicas(t, c, 0, 0, 3, 0)
	})
}

func TestSettleKeepsTheTargetFromSleepingBeforeATime(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		s, until := c.steward(), time.Now().Add(2*idle)
		for _, until := range []time.Time{until, until.Add(-idle)} { // an earlier time changes nothing
			if err := s.Settle(t.Context(), namespace, web, until); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.state(); !got.NotBefore.Equal(until.Truncate(time.Millisecond)) || got.Phase != sleep.Awake {
			t.Errorf("state %+v, want awake and not to sleep before %s", got, until)
		}
		c.proxy("a")
		after(2*idle - time.Second)
		wantReplicas(t, c, 3)
		after(2 * time.Second)
		wantReplicas(t, c, 0, 0)
	})
}

func TestSettleKeepsWhatAnotherWritesMeanwhile(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.edit(func(*sleep.State) {})
		c.intercept(func(_ context.Context, call string) error {
			if call == "update lease" {
				c.intercept(nil)
				c.edit(func(s *sleep.State) { s.Claims["a"] = sleep.Claim{} })
			}
			return nil
		})
		if err := c.steward().Settle(t.Context(), namespace, web, time.Now().Add(idle)); err != nil {
			t.Fatal(err)
		}
		if got := c.state(); !got.Claims["a"].Active() || got.NotBefore.IsZero() {
			t.Errorf("state %+v, want the claim of a and the time", got)
		}
	})
}

func TestForgetRestoresTheReplicasAndRemovesTheLease(t *testing.T) {
	tests := []struct {
		name   string
		start  func(c *cluster)
		has    int32
		writes []int32
	}{
		{"asleep", (*cluster).asleep, 3, []int32{0, 3}},
		{"awake", func(c *cluster) { c.edit(func(*sleep.State) {}) }, 3, nil},
		{"no Lease", func(*cluster) {}, 3, nil},
		{"scaled to 0 by hand", func(c *cluster) { c.edit(func(*sleep.State) {}); c.scaleTo(0) }, 0, nil},
		{"held", func(c *cluster) {
			c.asleep()
			if _, err := c.hold(c.steward()); err != nil {
				c.t.Fatal(err)
			}
		}, 3, []int32{0, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				tt.start(c)
				s := c.steward()
				err := s.Forget(t.Context(), namespace, web)
				if errors.Is(err, ErrBusy) {
					after(Doubt)
					err = s.Forget(t.Context(), namespace, web)
				}
				if err != nil {
					t.Fatal(err)
				}
				wantReplicas(t, c, tt.has, tt.writes...)
				if lease := c.lease(); lease != nil {
					t.Errorf("the Lease is still there: %v", lease.Annotations)
				}
			})
		})
	}
}

func TestForgetLeavesTheLeaseOfATargetItCannotRestore(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.asleep()
		c.intercept(func(_ context.Context, call string) error {
			if call == "update scale" {
				return apierrors.NewForbidden(web.GroupResource(), web.Name, errors.New("no such right"))
			}
			return nil
		})
		if err := c.steward().Forget(t.Context(), namespace, web); !apierrors.IsForbidden(err) {
			t.Errorf("%v, want forbidden", err)
		}
		if state := c.state(); !state.Owed || state.Replicas != 3 {
			t.Errorf("state %+v, want 3 replicas owed", state)
		}
	})
}
