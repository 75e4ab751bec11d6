package target

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"tpa.dev/tpa/proxy/sleep"
)

// Ways in which calls fail.
func refused(context.Context, string) error { return errors.New("dial tcp: connection refused") }

func hangs(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }

func internal(context.Context, string) error { return apierrors.NewInternalError(errors.New("etcd")) }

// quiet is a proxy whose claim is idle, so that the next connection needs the API server.
func (c *cluster) quiet() *proxy {
	p := c.proxy("a")
	p.mustAcquire()
	p.Release(time.Now())
	after(idle/2 + time.Second)
	return p
}

func TestUnreachableServerMeansDialingUnclaimedAfterASecond(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.quiet()
		c.intercept(refused)
		took, err := p.acquire(time.Minute)
		if err != nil || took < unclaimedAfter || took > 4*time.Second {
			t.Fatalf("%v after %s, want in after about a second", err, took)
		}
		for range 3 {
			if took, err := p.acquire(time.Minute); err != nil || took != 0 {
				t.Errorf("%v after %s, want the next ones in at once", err, took)
			}
			p.Release(time.Now())
		}
		after(time.Hour)
		if !p.open() {
			t.Error("the gate closes although the server stays away")
		}
		if state := c.state(); state.Claims["a"].Active() {
			t.Errorf("state %+v, want no claim yet", state)
		}
		after(3 * time.Second)
		if state := c.state(); !state.Claims["a"].Active() || !p.open() {
			t.Errorf("state %+v, open %t: the claim is not made up for", state, p.open())
		}
		wantReplicas(t, c, 3)
		p.Release(time.Now())
	})
}

func TestServerThatHangsIsWaitedForUntilTheCallEnds(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.quiet()
		c.intercept(hangs)
		took, err := p.acquire(time.Minute)
		if err != nil || took > callTimeout+time.Second {
			t.Errorf("%v after %s, want in after %s", err, took, callTimeout)
		}
		p.Release(time.Now())
	})
}

func TestNothingIsDialedUnclaimedInDoubt(t *testing.T) {
	tests := []struct {
		name  string
		start func(c *cluster) *proxy
		fails func(context.Context, string) error
	}{
		{"asleep", func(c *cluster) *proxy {
			p := c.proxy("a")
			after(idle + time.Second)
			return p // which still believes in its backends
		}, refused},
		{"asleep, and the server hangs", func(c *cluster) *proxy {
			p := c.proxy("a")
			after(idle + time.Second)
			return p
		}, hangs},
		{"no backend is ready", func(c *cluster) *proxy {
			p := c.quiet()
			p.SetReady(0, time.Now())
			return p
		}, refused},
		{"the server answers, with an error", (*cluster).quiet, internal},
		{"falling asleep by another", func(c *cluster) *proxy {
			p := c.quiet()
			c.edit(func(s *sleep.State) { s.Phase, s.By = sleep.Sleeping, "b/1" })
			return p
		}, refused},
		{"never read", func(c *cluster) *proxy {
			c.intercept(refused)
			return c.proxy("a")
		}, refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				p := tt.start(c)
				c.intercept(tt.fails)
				if took, err := p.acquire(time.Minute); !errors.Is(err, context.DeadlineExceeded) || took != time.Minute {
					t.Errorf("%v after %s, want held for its minute", err, took)
				}
				if p.gate.active != 0 || p.gate.waiting != 0 {
					t.Errorf("%d inside, %d waiting after it has gone", p.gate.active, p.gate.waiting)
				}
			})
		})
	}
}

func TestOutageNeverPutsATargetToSleep(t *testing.T) {
	for name, fails := range map[string]func(context.Context, string) error{"refused": refused, "hangs": hangs, "internal": internal} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				c.quiet()
				c.intercept(fails)
				after(time.Hour)
				wantReplicas(t, c, 3)
				c.intercept(nil)
				after(3 * sleep.Grace)
				wantReplicas(t, c, 0, 0)
			})
		})
	}
}

func TestScaleThatChangesMeanwhileKeepsTheTargetAwake(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		c.intercept(func(_ context.Context, call string) error {
			if call == "update scale" {
				c.intercept(nil)
				c.scaleTo(4)
			}
			return nil
		})
		after(idle + 100*time.Millisecond)
		wantReplicas(t, c, 4)
		wantPhase(t, c, sleep.Awake)
		p.mustAcquire() // and it is not waited for
		p.Release(time.Now())
		after(2 * idle)
		wantReplicas(t, c, 0, 0)
		if got := c.state().Replicas; got != 4 {
			t.Errorf("%d replicas recorded, want the 4 that it had", got)
		}
	})
}

func TestScaleThatMayNotBeWrittenKeepsTheTargetAwake(t *testing.T) {
	for _, refusal := range []string{"get scale", "update scale"} {
		t.Run(refusal, func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				p := c.proxy("a")
				c.intercept(func(_ context.Context, call string) error {
					if call == refusal {
						return apierrors.NewForbidden(web.GroupResource(), web.Name, errors.New("no such right"))
					}
					return nil
				})
				after(idle + 20*time.Second)
				p.mustAcquire()
				wantReplicas(t, c, 3)
				wantPhase(t, c, sleep.Awake)
				p.Release(time.Now())
			})
		})
	}
}

// The answer to the write of 0 is lost: the target must be found asleep, or woken, and never be stuck.
func TestWriteWhoseAnswerIsLostIsFoundOut(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		c.intercept(func(_ context.Context, call string) error {
			if call == "update scale" {
				c.intercept(nil)
				c.mu.Lock()
				c.setScale(0)
				c.mu.Unlock()
				return context.DeadlineExceeded
			}
			return nil
		})
		after(idle + 30*time.Second)
		wantPhase(t, c, sleep.Asleep)
		p.SetReady(0, time.Now())
		p.mustAcquire()
		wantReplicas(t, c, 3, 3)
		p.Release(time.Now())
	})
}
