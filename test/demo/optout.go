package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// optOut shows both ways out, each from a sleeping app, and that nothing of TPA remains on the Services.
func (d *demo) optOut(ctx context.Context) error {
	if err := d.ensureAsleep(ctx, "web"); err != nil {
		return err
	}
	if err := d.kubectl(ctx, "-n", namespace, "annotate", "service", "web", contract.TargetKey+"-"); err != nil {
		return err
	}
	start := time.Now()
	clients := d.startClients(ctx, d.before["web"].service)
	_, err := d.awaitPhase(ctx, "web", "-", clients)
	took := time.Since(start)
	if err == nil {
		err = d.pause(ctx, nodesLearn, func() string { return "clients go on: " + clients.soFar() })
	}
	tally := clients.stop(ctx)
	if err != nil {
		return err
	}
	if tally.Failed() > 0 {
		return fmt.Errorf("requests were lost while the Service was restored: %s", tally)
	}
	d.say("Awake and restored after %s, with two clients asking all the while:", span(took))
	d.good("%s, none lost; the slowest took %s", count(tally.Count[kit.OK], "request", "requests"), span(tally.Slowest))
	if err := d.compareWithBefore(ctx, "web"); err != nil {
		return err
	}

	if err := d.ensureAsleep(ctx, "postgres"); err != nil {
		return err
	}
	d.say("Or the whole namespace at once:")
	if err := d.kubectl(ctx, "label", "namespace", namespace, contract.InjectLabel+"-"); err != nil {
		return err
	}
	start = time.Now()
	if _, err := d.awaitPhase(ctx, "postgres", "-", nil); err != nil {
		return err
	}
	d.say("Awake and restored after %s.", span(time.Since(start)))
	text, _, err := d.query(ctx, d.before["postgres"].service, greetingSQL)
	if err == nil {
		err = greeted(text)
	}
	if err != nil {
		return err
	}
	return d.compareWithBefore(ctx, "postgres")
}

// ensureAsleep waits for an app that was left alone for a while.
func (d *demo) ensureAsleep(ctx context.Context, app string) error {
	err := kit.Wait(ctx, sleepLimit, app+" to sleep again", func(ctx context.Context) (bool, string) {
		w, err := d.kube.workload(ctx, app)
		if err != nil {
			return false, err.Error()
		}
		d.live("%s: %s", app, w)
		return w.wanted == 0 && len(w.pods) == 0, w.String()
	})
	if err == nil {
		d.say("Meanwhile %s sleeps again: 0 replicas, no pod.", app)
	}
	return err
}

// compareWithBefore fails unless a Service is what its user wrote, byte for byte.
func (d *demo) compareWithBefore(ctx context.Context, app string) error {
	service, raw, err := d.kube.service(ctx, app)
	if err != nil {
		return err
	}
	now, err := newSnapshot(service, raw)
	if err != nil {
		return err
	}
	before := d.before[app]
	d.compare(app, sideBySide(before.service, service))
	if differences := before.changed(now); len(differences) > 0 {
		return fmt.Errorf("service %s is not what it was before TPA: %s", app, strings.Join(differences, "; "))
	}
	d.good("spec identical, byte for byte (%d bytes); nothing of TPA's is left on it", len(now.spec))
	d.identical = append(d.identical, app)
	return nil
}
