package target

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// wakes are the stages of a Keeper's wakes, and its log.
type wakes struct {
	stages []string
	took   []time.Duration
	logs   *observer.ObservedLogs
}

// of has a Keeper's collected.
func (w *wakes) of(config *Config) {
	var core zapcore.Core
	core, w.logs = observer.New(zap.InfoLevel)
	config.Log = zap.New(core)
	config.OnStage = func(s Stage, d time.Duration) {
		w.stages, w.took = append(w.stages, s.String()), append(w.took, d)
	}
}

func (w *wakes) want(t *testing.T, stages ...string) {
	t.Helper()
	if !slices.Equal(w.stages, stages) {
		t.Fatalf("stages %v, want %v", w.stages, stages)
	}
}

// hold acquires in the background, as a held connection does.
func (p *proxy) hold() {
	go func() {
		if err := p.Acquire(p.t.Context(), source); err != nil {
			p.t.Error(err)
		}
	}()
}

// slow has each call to the API server take a second.
func slow(ctx context.Context, _ string) error {
	time.Sleep(time.Second)
	return ctx.Err()
}

func TestWakeIsReportedOnceWithItsStages(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		var w wakes
		p := c.proxy("a", w.of)
		after(idle + time.Second)
		p.SetReady(0, time.Now())
		c.intercept(slow)
		held := time.Now()
		p.hold()
		after(5 * time.Second) // a second each: writing the Lease, reading the scale, writing it
		p.SetReady(2, time.Now().Add(-time.Second))
		after(2 * time.Second)
		p.Dialed(500 * time.Millisecond)
		p.Dialed(time.Millisecond) // another connection
		after(0)
		w.want(t, "decide", "scale", "ready", "notice", "dial")
		s, ms := time.Second, time.Millisecond
		if diff := cmp.Diff([]time.Duration{s, 2 * s, s, 2500 * ms, 500 * ms}, w.took); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		lines := w.logs.FilterMessage("target: woken").All()
		if len(lines) != 1 {
			t.Fatalf("%d lines, want one", len(lines))
		}
		fields := lines[0].ContextMap()
		if !fields["held"].(time.Time).Equal(held) || fields["for"] != source.Client.Addr().String() || fields["replicas"] != int32(3) ||
			fields["ready"] != s {
			t.Errorf("line %v", fields)
		}
		p.Release(time.Now())
	})
}

// What another proxy has scaled up is a wake here, too, for those who wait here.
func TestWakeThatAnotherProxyScalesHasNoScaleStage(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		var w wakes
		a, b := c.proxy("a"), c.proxy("b", w.of)
		after(idle + time.Second)
		a.SetReady(0, time.Now())
		b.SetReady(0, time.Now())
		c.intercept(slow)
		a.hold()
		after(10 * time.Millisecond)
		b.hold()
		after(10 * time.Second)
		b.SetReady(1, time.Now())
		b.Dialed(0)
		after(0)
		w.want(t, "decide", "ready", "notice", "dial")
		wantReplicas(t, c, 3, 0, 3)
		a.Release(time.Now())
		b.Release(time.Now())
	})
}

// A claim that is won back while the target is awake is none.
func TestClaimOfAnAwakeTargetIsNoWake(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		var w wakes
		p := c.proxy("a", w.of)
		after(idle * 3 / 4)
		p.mustAcquire()
		p.Dialed(0)
		p.Release(time.Now())
		after(0)
		if len(w.stages) != 0 {
			t.Errorf("stages %v", w.stages)
		}
	})
}

func TestWakeThatNobodyWaitsForIsReportedAsFarAsItWent(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		var w wakes
		p := c.proxy("a", w.of)
		after(idle + time.Second)
		p.SetReady(0, time.Now())
		p.mustAcquire()
		after(time.Minute)
		p.Release(time.Now()) // no backend came
		after(0)
		w.want(t, "decide", "scale")
		if n := w.logs.FilterMessage("target: nobody waits any more for it to wake").Len(); n != 1 {
			t.Errorf("%d lines say so, want one", n)
		}
		p.mustAcquire()
		p.SetReady(3, time.Now())
		p.Dialed(0) // of a connection that came when it was awake
		p.Release(time.Now())
		after(0)
		if len(w.stages) != 2 {
			t.Errorf("stages %v, want no more", w.stages)
		}
	})
}
