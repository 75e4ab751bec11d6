package target

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"tpa.dev/tpa/proxy/sleep"
)

// withoutScale has the workload not exist, and counts how often somebody looked.
func (c *cluster) withoutScale(looks *int) {
	c.intercept(func(_ context.Context, call string) error {
		if call != "get scale" {
			return nil
		}
		*looks++
		return apierrors.NewNotFound(schema.GroupResource{Group: "apps", Resource: "deployments"}, "web")
	})
}

func TestMissingIsKnownWhileSomebodyWaitsAndForgottenWhenItIsBack(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		var looks int
		var changes atomic.Int64
		p := c.proxy("a", func(config *Config) { config.OnPhase = func() { changes.Add(1) } })
		if since := p.View().MissingSince; !since.IsZero() {
			t.Fatalf("missing since %s, and nobody has looked", since)
		}
		c.withoutScale(&looks)
		p.SetReady(0, time.Now())
		before := changes.Load()
		p.mustAcquire()
		after(5 * time.Second)
		since := p.View().MissingSince
		if since.IsZero() || time.Since(since) < 4*time.Second || changes.Load() == before {
			t.Errorf("missing since %s, told %d times", since, changes.Load()-before)
		}
		c.intercept(nil)
		after(sleep.Recheck)
		if since := p.View().MissingSince; !since.IsZero() {
			t.Errorf("still missing since %s", since)
		}
	})
}

func TestMissingIsLookedForOnlyWhenAskedAndNotMoreOftenThanThat(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		var looks int
		p := c.proxy("a")
		p.Look()
		after(time.Minute)
		c.withoutScale(&looks)
		p.SetReady(0, time.Now())
		p.mustAcquire()
		after(time.Second)
		p.Release(time.Now())
		after(2 * sleep.Recheck)
		if looks = 0; p.View().MissingSince.IsZero() {
			t.Fatal("it is not known to be missing")
		}
		after(time.Minute)
		if looks > 0 {
			t.Errorf("looked %d times although nobody asked", looks)
		}
		for range 100 {
			p.Look()
			after(100 * time.Millisecond)
		}
		if looks < 4 || looks > 6 {
			t.Errorf("looked %d times in 10 s", looks)
		}
		c.intercept(nil)
		p.Look()
		after(sleep.Recheck)
		if since := p.View().MissingSince; !since.IsZero() {
			t.Errorf("still missing since %s", since)
		}
	})
}

// TestOtherFailuresAreNotAbsence: who may not look knows nothing.
func TestOtherFailuresAreNotAbsence(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.intercept(func(_ context.Context, call string) error {
			if call != "get scale" {
				return nil
			}
			return apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "web", nil)
		})
		p := c.proxy("a")
		p.SetReady(0, time.Now())
		p.mustAcquire()
		after(time.Minute)
		if since := p.View().MissingSince; !since.IsZero() {
			t.Errorf("missing since %s", since)
		}
	})
}

// TestZeroByHandStaysUnderAnOpenConnection: a person who scales to 0 knows of the connections that are open.
func TestZeroByHandStaysUnderAnOpenConnection(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		var held atomic.Bool
		p := c.proxy("a", func(config *Config) { config.Held = held.Load })
		p.mustAcquire()
		after(time.Minute)
		c.scaleTo(0)
		p.SetReady(0, time.Now())
		after(time.Minute)
		wantReplicas(t, c, 0)
		held.Store(true) // another has come
		p.Held()
		after(0)
		wantReplicas(t, c, 1, 1)
	})
}

// TestPodsThatDoNotComeUpSleepAgain: somebody scales up a target that sleeps, and its pods never become ready.
func TestPodsThatDoNotComeUpSleepAgain(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		p := c.proxy("a")
		after(idle + time.Second)
		p.SetReady(0, time.Now())
		wantPhase(t, c, sleep.Asleep)
		c.scaleTo(2)
		p.SetStarting(true)
		p.SetReady(0, time.Now())
		after(idle - time.Second)
		wantPhase(t, c, sleep.Asleep) // if they became ready now, they would have all of their idle time-out
		after(2 * time.Second)
		wantPhase(t, c, sleep.Awake)
		after(idle)
		wantReplicas(t, c, 0, 0, 0)
		wantPhase(t, c, sleep.Asleep)
		p.SetStarting(false)
		p.SetReady(0, time.Now())
		after(time.Hour)
		wantReplicas(t, c, 0, 0, 0)
	})
}
