package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// watch knows what the API server says of a namespace: it counts the rounds, and tells what happened to a target.
type watch struct {
	mu      sync.Mutex
	targets map[string]*targetWatch
	// places are the pods by their addresses, those that are gone included.
	places map[string]place
}

// place is a pod and where it runs.
type place struct {
	pod, app, node string
	// ending is when the pod was seen to be told to end; the zero time before.
	ending time.Time
}

func (p place) String() string {
	if p.pod == "" {
		return "of no pod that is known"
	}
	s := fmt.Sprintf("of pod %s on %s", p.pod, p.node)
	if !p.ending.IsZero() {
		s += ", told to end at " + p.ending.Format("15:04:05.000")
	}
	return s
}

// targetWatch is what is known of a target.
type targetWatch struct {
	replicas int32
	// rounds is how often the target was scaled to 0 and back.
	rounds int
	slept  bool
	// sleptAt and wokeAt are when it was last seen to be scaled to 0 and back.
	sleptAt, wokeAt time.Time
	// history is what happened last.
	history []event
}

type event struct {
	at   time.Time
	line string
}

// historyLen is for a minute or more, at some 12 events a round.
const historyLen = 200

// startWatch watches until ctx ends.
func startWatch(ctx context.Context, c *kit.Cluster, namespace string, p plan) (*watch, error) {
	w := &watch{targets: map[string]*targetWatch{}, places: map[string]place{}}
	leases := map[string]string{}
	for _, t := range p.targets {
		w.targets[t.name] = &targetWatch{}
		ref, err := contract.ParseTarget(t.name)
		if err != nil {
			return nil, err
		}
		leases[ref.Lease()] = t.name
	}
	return w, errors.Join(
		follow(ctx, w, c, &appsv1.DeploymentList{}, namespace, w.deployment),
		follow(ctx, w, c, &coordinationv1.LeaseList{}, namespace, func(change kit.Change[*coordinationv1.Lease]) {
			w.note(leases[change.Object.Name], change.At, change.String())
		}),
		follow(ctx, w, c, &corev1.PodList{}, namespace, w.pod))
}

// follow takes in each change until ctx ends. A watch that breaks, as it does when the API server is started again, begins
// anew from what is there then: a round that nobody saw is not counted.
func follow[T client.Object](ctx context.Context, w *watch, c *kit.Cluster, list client.ObjectList, namespace string, take func(kit.Change[T])) error {
	return kit.Tell(ctx, c, list, func(change kit.Change[T], err error) {
		if err == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			take(change)
			return
		}
		for ctx.Err() == nil && follow(ctx, w, c, list, namespace, take) != nil {
			wait(ctx, time.Second)
		}
	}, client.InNamespace(namespace))
}

func (w *watch) deployment(c kit.Change[*appsv1.Deployment]) {
	t := w.targets[c.Object.Name]
	if t == nil || c.Deleted {
		return
	}
	was, is := t.replicas, kit.Replicas(c.Object)
	t.replicas = is
	if was == is {
		return
	}
	w.note(c.Object.Name, c.At, c.String())
	switch {
	case is == 0:
		t.slept, t.sleptAt = true, c.At
	case t.slept:
		t.slept, t.wokeAt = false, c.At
		t.rounds++
	}
}

func (w *watch) pod(c kit.Change[*corev1.Pod]) {
	name := c.Object.Labels["app"]
	if ip := c.Object.Status.PodIP; ip != "" {
		p := place{pod: c.Object.Name, app: name, node: c.Object.Spec.NodeName}
		if was := w.places[ip]; was.pod == p.pod {
			p.ending = was.ending
		}
		if p.ending.IsZero() && c.Object.DeletionTimestamp != nil {
			p.ending = c.At
		}
		w.places[ip] = p
	}
	if c.Object.Labels[contract.SelectorKey] == contract.SelectorValue {
		for name := range w.targets {
			w.note(name, c.At, c.String())
		}
		return
	}
	w.note(name, c.At, c.String())
}

func (w *watch) note(target string, at time.Time, line string) {
	t := w.targets[target]
	if t == nil {
		return
	}
	if len(t.history) == historyLen {
		t.history = t.history[1:]
	}
	t.history = append(t.history, event{at, line})
}

// history is what happened to targets since a time.
func (w *watch) history(targets []string, since time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, name := range targets {
		for _, e := range w.targets[name].history {
			if e.at.After(since) {
				fmt.Fprintf(&b, "  %s\n", e.line)
			}
		}
	}
	return b.String()
}

// rounds is how often targets were scaled to 0 and back, and the least of any of them.
func (w *watch) rounds() (all, least int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := true
	for _, t := range w.targets {
		all += t.rounds
		if first || t.rounds < least {
			least, first = t.rounds, false
		}
	}
	return all, least
}

// placeOf is the pod that has or had an address; the zero place if there was none.
func (w *watch) placeOf(address string) place {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.places[address]
}

// nodeOf is where a pod runs or ran; "" if there was none.
func (w *watch) nodeOf(pod string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.places {
		if p.pod == pod {
			return p.node
		}
	}
	return ""
}

// awakeSince names the targets that have not been scaled to 0 since a time.
func (w *watch) awakeSince(since time.Time) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for name, t := range w.targets {
		if t.sleptAt.Before(since) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
