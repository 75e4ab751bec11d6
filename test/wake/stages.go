package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/test/kit"
)

// stage is a part of a wake. Each begins where the one before it ended.
type stage struct {
	name, until string
	// whose says who has seen its end: the client, the proxy, a watch in this process, or the app.
	whose string
}

// The stages, in their order. A wake through TPA has all but serve; one by hand has scale, schedule, start, ready and serve.
var (
	accept   = stage{"accept", "the proxy holds the connection", "proxy"}
	decide   = stage{"decide", "the Lease says Awake", "proxy"}
	scale    = stage{"scale", "the scale is written", "proxy, or the client"}
	schedule = stage{"schedule", "the pod has a node", "watch"}
	start    = stage{"start", "its container runs", "watch"}
	ready    = stage{"ready", "it is ready", "watch"}
	notice   = stage{"notice", "the proxy begins to connect", "proxy"}
	dial     = stage{"dial", "the first byte is at the backend", "app"}
	serve    = stage{"serve", "the first byte is at the backend", "app"}

	allStages = []stage{accept, decide, scale, schedule, start, ready, notice, dial, serve}
)

// stages is how long each took.
type stages map[stage]time.Duration

// podTimes is when a watch saw a pod get on.
type podTimes struct{ scheduled, started, ready time.Time }

// trace looks up how a pod got on, in what was watched since a point.
func (w *world) trace(ctx context.Context, from int, pod string) (podTimes, error) {
	var t podTimes
	seen, err := w.pods.Await(ctx, 10*time.Second, "pod "+pod+" to be seen ready", from,
		readyOf(func(_, name string) bool { return name == pod }))
	if err != nil {
		return t, err
	}
	t.ready = seen.At
	for _, c := range w.pods.Since(from) {
		if c.Object.Name != pod {
			continue
		}
		if t.scheduled.IsZero() && c.Object.Spec.NodeName != "" {
			t.scheduled = c.At
		}
		if t.started.IsZero() && running(c.Object) {
			t.started = c.At
		}
	}
	return t, nil
}

// readyOf looks for a ready pod by its app and name.
func readyOf(which func(app, name string) bool) func(kit.Change[*corev1.Pod]) bool {
	return func(c kit.Change[*corev1.Pod]) bool {
		return !c.Deleted && kit.Ready(c.Object) && which(c.Object.Labels["app"], c.Object.Name)
	}
}

func running(p *corev1.Pod) bool {
	for _, s := range p.Status.ContainerStatuses {
		if s.State.Running != nil {
			return true
		}
	}
	return false
}

// byHand is the stages of a wake by hand.
func byHand(began, scaled time.Time, pod podTimes, first time.Time) stages {
	return stages{
		scale: scaled.Sub(began), schedule: pod.scheduled.Sub(scaled), start: pod.started.Sub(pod.scheduled),
		ready: pod.ready.Sub(pod.started), serve: first.Sub(pod.ready),
	}
}
