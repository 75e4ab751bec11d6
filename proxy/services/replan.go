package services

import (
	"iter"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
)

// A plan is made and carried out after each change of a Pod, and of a thousand Services it concerns one. Where no more has
// changed than pods and phases, only that one's part is made anew: which Services there are, their settings, the ports that
// each gets and the targets' Services stay as they were.

// changes are parts of a plan.
type changes struct {
	services map[types.UID]bool
	targets  map[contract.Target]bool
}

// changedServices are those whose plans are to be carried out.
func (p Plan) changedServices() iter.Seq2[types.UID, ServicePlan] {
	if p.Changed == nil {
		return maps.All(p.Services)
	}
	return only(p.Services, p.Changed.services)
}

// changedTargets are those whose plans are to be carried out.
func (p Plan) changedTargets() iter.Seq2[contract.Target, TargetPlan] {
	if p.Changed == nil {
		return maps.All(p.Targets)
	}
	return only(p.Targets, p.Changed.targets)
}

// only returns those of a map's entries that have one of some keys.
func only[K comparable, V any](all map[K]V, keys map[K]bool) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for key := range keys {
			if v, ok := all[key]; ok && !yield(key, v) {
				return
			}
		}
	}
}

// update has the index be that of a World, given what is new in it.
func (x *index) update(w World, n news) {
	x.World = w
	for _, pod := range n.before {
		x.remove(pod)
	}
	for _, pod := range n.after {
		x.add(pod)
		for _, u := range x.unmanaged {
			if isReady(pod) && u.selector.Matches(labels.Set(pod.Labels)) {
				x.addRival(pod, u.service)
			}
		}
	}
}

func (x *index) remove(pod *corev1.Pod) {
	delete(x.rivals, pod)
	for key, value := range pod.Labels {
		l := label{key, value}
		x.pods[l] = slices.DeleteFunc(x.pods[l], func(p *corev1.Pod) bool { return p == pod })
		if len(x.pods[l]) == 0 {
			delete(x.pods, l)
		}
	}
}

// replan makes those parts of the last plan anew that the news concern.
func (x *index) replan(plan *Plan, n news) {
	plan.Dozes, plan.Changed = x.Dozes, &changes{services: n.services, targets: n.targets}
	news := func(t contract.Target) bool { return n.targets[t] }
	for _, svc := range x.managed {
		if r := x.read(svc); n.concern(r.selector) || slices.ContainsFunc(r.settings.Targets, news) {
			n.services[svc.UID] = true
		}
		if n.services[svc.UID] {
			plan.Services[svc.UID] = x.service(svc, onlyOf(plan.Services[svc.UID]))
		}
	}
	changed := func(svc *corev1.Service) bool { return n.services[svc.UID] }
	for t, users := range x.users {
		if n.targets[t] || n.concern(x.PodSelectors[t]) || slices.ContainsFunc(users, changed) {
			n.targets[t] = true
			plan.Targets[t] = x.target(t, users, plan.Services)
		}
	}
}

// concern reports whether the news concern the pods that a selector matches; nil matches none.
func (n news) concern(selector labels.Selector) bool {
	matched := func(pod *corev1.Pod) bool { return selector.Matches(labels.Set(pod.Labels)) }
	return selector != nil && (slices.ContainsFunc(n.before, matched) || slices.ContainsFunc(n.after, matched))
}

// onlyOf grants, once each, the slots that a Service was planned to have.
func onlyOf(sp ServicePlan) func(slot int32) bool {
	own := make(map[int32]bool, len(sp.Ports))
	for _, p := range sp.Ports {
		own[int32(p.Listen)] = true
	}
	return func(slot int32) bool {
		defer delete(own, slot)
		return own[slot]
	}
}
