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
	pods := slices.Concat(n.before, n.after)
	for svc := range x.selecting.matching(pods...) {
		n.services[svc.UID] = true
	}
	for t := range n.targets {
		for _, svc := range x.named[t] {
			n.services[svc.UID] = true
		}
	}
	for t := range x.ofTargets.matching(pods...) {
		n.targets[t] = true
	}
	for uid := range n.services {
		svc, managed := x.byUID[uid]
		if !managed {
			continue
		}
		plan.Services[uid] = x.service(svc, onlyOf(plan.Services[uid]))
		for _, t := range x.read(svc).settings.Targets {
			n.targets[t] = true
		}
	}
	for t := range n.targets {
		if users, used := x.users[t]; used {
			plan.Targets[t] = x.target(t, users, plan.Services)
		}
	}
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
