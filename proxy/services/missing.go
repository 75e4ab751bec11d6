package services

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
)

// missingGrace is how long a workload must be missing before connections are refused: one that is replaced is deleted
// first, and `kubectl replace --force` waits between the two until its pods are gone, or a pipeline runs.
const missingGrace = 10 * time.Second

// missing says what to do about a workload that does not exist; empty if it exists, as far as is known.
func (x *index) missing(t contract.Target, ready int) string {
	switch {
	case x.Views[t].MissingSince.IsZero():
		return ""
	case ready > 0:
		return fmt.Sprintf("%s does not exist, so its pods cannot sleep: create it, or name another in %s", t, contract.TargetKey)
	}
	return fmt.Sprintf("%s does not exist, and connections are refused: create it, or name another in %s", t, contract.TargetKey)
}

// unserved reports whether no pod can be expected for a Service: none is there, a target of its is missing, and the pods of
// no other could be the Service's.
func (x *index) unserved(r *reading, targets []contract.Target) bool {
	gone := func(t contract.Target) bool {
		since := x.Views[t].MissingSince
		return !since.IsZero() && x.Now.Sub(since) >= missingGrace
	}
	if !slices.ContainsFunc(targets, gone) || len(x.present(r.selector)) > 0 {
		return false
	}
	return !slices.ContainsFunc(targets, func(t contract.Target) bool {
		selector := x.PodSelectors[t]
		return !gone(t) && (selector == nil || !contradict(selector, r.original.Selector))
	})
}

// presentPods returns the pods of a target that may be or become ready: by its own selector, or, until that is known, by
// its Services'.
func (x *index) presentPods(t contract.Target, users []*corev1.Service) int {
	if selector := x.PodSelectors[t]; selector != nil {
		return len(x.present(selector))
	}
	n := 0
	for _, svc := range users {
		if r := x.read(svc); r.selector != nil {
			n += len(x.present(r.selector))
		}
	}
	return n
}

// onMissing returns what a front is to call for a connection that it refuses: the keepers look whether the workloads are
// back; mu is held.
func (m *Manager) onMissing(sp ServicePlan, has front.Target) func() {
	g, ok := has.(*gate)
	if !sp.Unserved || !ok {
		return nil
	}
	return func() {
		for _, k := range g.keepers {
			k.Look()
		}
	}
}
