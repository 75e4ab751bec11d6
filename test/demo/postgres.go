package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tpa.dev/tpa/proxy/contract"
)

const (
	greetingSQL = "SELECT text FROM greeting"
	greeting    = "hello from a database that slept"
)

// database shows that any TCP protocol works, also one in which TPA understands no byte.
func (d *demo) database(ctx context.Context) error {
	if _, err := d.apply(ctx, "postgres"); err != nil {
		return err
	}
	if err := d.annotate(ctx, "postgres"); err != nil {
		return err
	}
	start := time.Now()
	service, err := d.awaitPhase(ctx, "postgres", string(contract.Active), nil)
	if err != nil {
		return err
	}
	d.say("It leads through the proxy after %s.", span(time.Since(start)))
	if err := d.pause(ctx, nodesLearn, func() string { return "and every node learns it" }); err != nil {
		return err
	}
	text, took, err := d.query(ctx, service, greetingSQL)
	if err == nil {
		err = greeted(text)
	}
	if err != nil {
		return err
	}
	d.say("Awake, psql takes %s in all. Since then:", span(took))
	if err := d.watchSleep(ctx, "postgres"); err != nil {
		return err
	}
	if text, took, err = d.query(ctx, service, greetingSQL); err == nil {
		err = greeted(text)
	}
	if err != nil {
		return err
	}
	w, err := d.kube.workload(ctx, "postgres")
	if err != nil {
		return err
	}
	d.good("answered in %s by a new pod, %s", span(took), strings.Join(w.pods, " "))
	d.wakes = append(d.wakes, wake{"PostgreSQL, by psql", took})
	return nil
}

func greeted(text string) error {
	if !strings.Contains(text, greeting) {
		return fmt.Errorf("the database did not answer %q but:\n%s", greeting, text)
	}
	return nil
}
