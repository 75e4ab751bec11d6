package main

import (
	"context"
	"fmt"
	"time"
)

// sleepLimit is when the demo no longer believes that an app falls asleep: the idle-timeout, the settle time of the
// overlay, and a lot for a slow machine.
const sleepLimit = 45 * time.Second

// watchSleep shows how an app falls asleep that nobody uses, until no pod is left.
//
// It counts from the beginning of the last request. When that ended for the proxy is known there only, and an app that
// keeps to its time must not be accused by a few milliseconds.
func (d *demo) watchSleep(ctx context.Context, app string) error {
	asleep := time.Time{}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		w, err := d.kube.workload(ctx, app)
		if err != nil {
			return err
		}
		idle := time.Since(d.lastUse)
		if w.wanted == 0 && asleep.IsZero() {
			asleep = time.Now()
			if idle < idleTimeout {
				return fmt.Errorf("%s sleeps after %s without a request, sooner than its idle-timeout", app, span(idle))
			}
			d.good("asleep after %s: Deployment %s is at 0 replicas", span(idle), app)
		}
		switch {
		case w.wanted == 0 && len(w.pods) == 0:
			d.good("no pod left after %s", span(idle))
			return nil
		case idle > sleepLimit:
			return fmt.Errorf("%s does not sleep: %s, %s after the last request", app, w, span(idle))
		case asleep.IsZero():
			d.live("%s", countdown(idle, w))
		default:
			d.live("%s still ends, %s", count(len(w.pods), "pod", "pods"), span(time.Since(asleep)))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// countdown is the line that a person watches until an app sleeps.
func countdown(idle time.Duration, w workload) string {
	left := fmt.Sprintf("%.1f s left", max(0, idleTimeout-idle).Seconds())
	if idle >= idleTimeout {
		left = "any moment"
	}
	return fmt.Sprintf("idle %4.1f s  %s  %-10s  %s", idle.Seconds(), bar(idle, idleTimeout, 16), left, w)
}
