package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/test/kit"
)

// For the picture an app that sleeps is left alone a little longer, and is used for a while once it was woken.
const sleepsOn, usedAgain = 10 * time.Second, 2 * time.Second

// record begins to note what the picture shows, if there is to be one.
func (d *demo) record(ctx context.Context, app string) (err error) {
	if d.svg != "" {
		d.recorder, err = record(ctx, d.kube.set, app)
	}
	return err
}

// recordSleep lets an app sleep for long enough to be seen.
func (d *demo) recordSleep(ctx context.Context) error {
	if d.recorder == nil {
		return nil
	}
	d.say("For the picture it sleeps for %s more.", span(sleepsOn))
	return d.pause(ctx, sleepsOn, func() string { return "asleep" })
}

// recordUse has clients ask an app that was woken, and ends the recording.
func (d *demo) recordUse(ctx context.Context, s *corev1.Service) error {
	if d.recorder == nil {
		return nil
	}
	clients := d.startClients(ctx, s)
	err := d.pause(ctx, usedAgain, clients.soFar)
	tally := clients.stop(ctx)
	d.recorder.stop()
	if err != nil {
		return err
	}
	if tally.Failed() > 0 {
		return fmt.Errorf("requests were lost after the wake: %s", tally)
	}
	d.say("For the picture clients go on: %s.", count(tally.Count[kit.OK], "request", "requests"))
	return nil
}

// draw writes the picture, if there is to be one, of what was recorded.
func (d *demo) draw() error {
	if d.recorder == nil {
		return nil
	}
	var out bytes.Buffer
	if err := d.recorder.stop().WriteSVG(&out); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	if err := os.WriteFile(d.svg, out.Bytes(), 0o644); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	d.say("Drawn: %s", d.svg)
	return nil
}
