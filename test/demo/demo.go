package main

import (
	"context"
	"fmt"
	"time"

	"tpa.dev/tpa/test/kit"
)

const (
	namespace       = "tpa-demo"
	systemNamespace = "tpa-system"

	// idleTimeout is what the demo annotates: short, so that a person sees an app fall asleep.
	idleTimeout = 5 * time.Second
)

// demo is one showing.
type demo struct {
	*screen
	keep  bool
	svg   string // the file that the picture is written to, if there is to be one
	began time.Time

	// What setUp found, which says what clean may take away.
	upBefore, deployedBefore bool
	deployed                 bool // TPA, by this showing

	kube   *kube
	client kit.Node // where requests come from

	recorder *recorder // from the opt-in on, if there is to be a picture

	sent      ledger
	lastUse   time.Time           // when the latest request began
	before    map[string]snapshot // of each Service, as its user wrote it
	wakes     []wake
	identical []string // Services that were compared after the opt-out
}

// wake is one wake from zero, as its client saw it.
type wake struct {
	what string
	took time.Duration
}

// step is a chapter of the demo. An error names what was promised and did not happen.
type step struct {
	title string
	do    func(*demo, context.Context) error
}

var steps = []step{
	{"Set up", (*demo).setUp},
	{"An ordinary app, without TPA", (*demo).ordinaryApp},
	{"Opt in, while clients use it", (*demo).optIn},
	{"Nobody asks: it sleeps", (*demo).fallAsleep},
	{"A request wakes it", (*demo).wakeUp},
	{"The same with PostgreSQL", (*demo).database},
	{"Opt out: everything is back as it was", (*demo).optOut},
}

func (d *demo) show(ctx context.Context) error {
	defer func() { d.recorder.stop() }()
	d.line(d.paint(bold, "TPA, the traffic pod autoscaler: what it does, on a real Kubernetes"))
	for i, step := range steps {
		d.heading(i, step.title)
		if err := step.do(d, ctx); err != nil {
			return fmt.Errorf("step %d, %q: %w", i, step.title, err)
		}
	}
	if lost, why := d.sent.lost(); lost > 0 {
		return fmt.Errorf("%d connections were lost, of %d: %s", lost, d.sent.total(), why)
	}
	return d.draw()
}
