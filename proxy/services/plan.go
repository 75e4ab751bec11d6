package services

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/proxy/target"
)

// World is what a proxy sees of its namespace. Nothing in it is changed.
type World struct {
	Services []*corev1.Service
	// Lingering are earlier versions of Services, whose ports are still served as they were.
	Lingering []*corev1.Service
	Pods      []*corev1.Pod
	Defaults  contract.Defaults
	// PodSelectors are the selectors of the targets' pods, as far as their scales have been read.
	PodSelectors map[contract.Target]labels.Selector
	// Views are the targets' phases as this proxy knows them; a target that is missing counts as awake.
	Views map[contract.Target]target.View
	// Dozes is how often each target had left Awake, at the time of Views or earlier.
	Dozes map[contract.Target]int
	// ReadySince is when each ready pod was first seen ready.
	ReadySince map[types.UID]time.Time
	// Late is how long connections to Services were held, since the last plan, that ended because no backend appeared.
	Late map[types.UID]time.Duration
	// Now is compared with the times of Views and ReadySince.
	Now time.Time
	// Readings, if set, are what earlier plans have read of Services.
	Readings *readings
}

// Plan is what a proxy should do.
type Plan struct {
	Services map[types.UID]ServicePlan
	Targets  map[contract.Target]TargetPlan
	// Dozes is the World's: the backends are not those of a target that has left Awake since.
	Dozes map[contract.Target]int
	// Changed are the parts that may differ from the last plan, or that have to be carried out again; nil for all.
	Changed *changes
}

// ServicePlan is how one managed Service is served.
type ServicePlan struct {
	Name     string
	Phase    contract.Phase
	Settings contract.Settings
	// Gate lists the targets that a connection claims; none while the Service is being restored, when the controller keeps
	// the target awake.
	Gate     []contract.Target
	Affinity bool
	Ports    []PortPlan
	// Unserved says that the Service has no pod, and nobody who could make one.
	Unserved bool
	// Late says why a connection ended because no pod was ready in time; empty if none did since the last plan.
	Late string
	// Problem says what is wrong with the Service's annotations; empty if nothing is.
	Problem string
}

// PortPlan is one Service port.
type PortPlan struct {
	Listen uint16
	// Port is the Service's.
	Port    int32
	Passive bool
	// Lingers says that the Service has lost the port.
	Lingers  bool
	Backends []netip.AddrPort
}

// TargetPlan is how one target is kept.
type TargetPlan struct {
	Use   target.Use
	Ready int
	// ReadySince is when the first of those was seen ready; the zero time if none is.
	ReadySince time.Time
	// Pod is what a pod of it requests; zero if there is none, or not known.
	Pod contract.Requests
	// Starting says that it has pods, ready or not.
	Starting bool
	// Services are those that the target sleeps and wakes for, the oldest first.
	Services []types.UID
	// Missing says to a person what to do about a workload that does not exist; empty if it does.
	Missing string
	// Awake says to a person why the target does not sleep however idle it is; empty if it does. Reason is that of the Event.
	Awake, Reason string
}

// Plan works out what to do. Of two Services that claim one proxy port, the older is served.
func (w World) Plan() Plan { return w.index().plan() }

func (x *index) plan() Plan {
	n := len(x.managed)
	plan := Plan{Services: make(map[types.UID]ServicePlan, n), Targets: make(map[contract.Target]TargetPlan, n), Dozes: x.Dozes}
	taken := make(map[int32]bool, n)
	free := func(slot int32) bool {
		defer func() { taken[slot] = true }()
		return !taken[slot]
	}
	for _, svc := range x.managed {
		plan.Services[svc.UID] = x.service(svc, free)
	}
	for _, svc := range x.Lingering {
		old := x.service(svc, free)
		sp, ok := plan.Services[svc.UID]
		if !ok {
			sp = ServicePlan{Name: svc.Name, Affinity: old.Affinity}
		}
		for _, p := range old.Ports {
			p.Lingers = true
			sp.Ports = append(sp.Ports, p)
		}
		plan.Services[svc.UID] = sp
	}
	for t, users := range x.users {
		plan.Targets[t] = x.target(t, users, plan.Services)
	}
	return plan
}

// service plans for a Service, of whose slots it gets those that are free.
func (x *index) service(svc *corev1.Service, free func(slot int32) bool) ServicePlan {
	r := x.read(svc)
	sp := ServicePlan{
		Name:     svc.Name,
		Phase:    contract.Phase(svc.Annotations[contract.PhaseKey]),
		Affinity: svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP,
	}
	if r.broken != "" {
		sp.Problem = r.broken
		return sp
	}
	if r.targeted {
		sp.Settings = r.settings
		if r.bad != nil {
			sp.Problem = r.bad.Error()
		}
	}
	if sp.Phase != contract.Restoring {
		sp.Gate = sp.Settings.Targets
	}
	sp.Unserved, sp.Late = x.unserved(r, sp.Gate), x.late(r, x.Late[svc.UID])
	ready := x.reachable(x.ready(r.selector), sp.Gate)
	for _, port := range svc.Spec.Ports {
		slot, ok := r.slots[port.Port]
		if !ok || !free(slot) {
			continue
		}
		targetPort, ok := r.original.TargetPorts[port.Port]
		if !ok {
			targetPort = port.TargetPort
		}
		sp.Ports = append(sp.Ports, PortPlan{
			Listen:   uint16(slot),
			Port:     port.Port,
			Passive:  sp.Settings.Passive(port.Port, port.Name),
			Backends: backends(ready, targetPort, svc.Spec.IPFamilies),
		})
	}
	return sp
}

// target plans for a target of some Services.
func (x *index) target(t contract.Target, users []*corev1.Service, plans map[types.UID]ServicePlan) TargetPlan {
	pods := x.readyPods(t, users)
	ready := pods
	if x.awake(t) {
		ready = x.reachable(ready, []contract.Target{t})
	}
	tp := TargetPlan{
		Ready: len(ready), ReadySince: x.firstReady(ready), Starting: x.presentPods(t, users) > 0, Missing: x.missing(t, len(pods)), Pod: requested(pods),
	}
	for _, svc := range users {
		sp := plans[svc.UID]
		tp.Use.IdleTimeout = max(tp.Use.IdleTimeout, sp.Settings.IdleTimeout)
		tp.Use.WakeReplicas = max(tp.Use.WakeReplicas, sp.Settings.WakeReplicas)
		tp.Use.Mode = max(tp.Use.Mode, sp.Settings.Mode)
		tp.Services = append(tp.Services, svc.UID)
	}
	tp.Use.SleepRequested = x.sleepRequested(users)
	tp.Use.Blocked = x.blocked(users, pods)
	tp.Awake, tp.Reason = tp.Use.Blocked, sleepBlocked
	if selector := x.PodSelectors[t]; selector != nil && tp.Awake == "" {
		tp.Awake = x.mismatch(t, selector) // whether it sleeps is decided by the selector as it is then, see Manager.allow
	}
	if tp.Awake == "" && x.Views[t].Contested {
		tp.Awake, tp.Reason = contested, replicasContested
	}
	return tp
}

// sleepRequested is the latest time at which somebody asked a target of some Services to sleep; one that is still to come, and does
// not count, only if there is no other.
func (x *index) sleepRequested(users []*corev1.Service) time.Time {
	var latest *reading
	for _, svc := range users {
		r := x.read(svc)
		switch {
		case r.broken != "", r.settings.SleepRequested.IsZero():
		case latest == nil, latest.early && !r.early,
			latest.early == r.early && r.settings.SleepRequested.After(latest.settings.SleepRequested):
			latest = r
		}
	}
	if latest == nil {
		return time.Time{}
	}
	return latest.settings.SleepRequested
}

// contested says what the owner can do about a target that others scale up.
var contested = fmt.Sprintf("others scaled it up %d times in a row while it was asleep and nobody used it. Have whatever sets "+
	"its replicas (a GitOps tool, an autoscaler, a script) leave them out; TPA tries again after the next connection",
	sleep.MaxReverted)

// readyPods returns the ready pods of a target: by its own selector, or, until that is known, by its Services'.
func (x *index) readyPods(t contract.Target, users []*corev1.Service) []*corev1.Pod {
	if selector := x.PodSelectors[t]; selector != nil {
		return x.ready(selector)
	}
	var pods []*corev1.Pod
	for _, svc := range users {
		if r := x.read(svc); r.selector != nil {
			pods = append(pods, x.ready(r.selector)...)
		}
	}
	return pods
}

// blocked says why a target with some ready pods must not sleep, in words for a person; empty if it may.
func (x *index) blocked(users []*corev1.Service, pods []*corev1.Pod) string {
	for _, svc := range users {
		if contract.Phase(svc.Annotations[contract.PhaseKey]) == contract.Pending {
			return fmt.Sprintf("connections through Service %s do not pass the proxy yet", svc.Name)
		}
	}
	var by *corev1.Service
	for _, pod := range pods {
		if svc := x.rivals[pod]; svc != nil && (by == nil || svc.Name < by.Name) {
			by = svc
		}
	}
	if by == nil {
		return ""
	}
	return fmt.Sprintf("Service %s, which is not managed, selects its pods: annotate that with %s too, or with %s=true",
		by.Name, contract.TargetKey, contract.BypassKey)
}

// mismatch says which of a target's Services selects none of the target's pods, given their selector: to sleep would
// then stop something that the Service has nothing to do with. Where there are no pods to tell by, it is one that no pod
// of the target can match. Empty if all is well.
func (x *index) mismatch(t contract.Target, podSelector labels.Selector) string {
	pods := x.present(podSelector)
	for _, svc := range x.sole[t] {
		r := x.read(svc)
		selected := slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return r.selector.Matches(labels.Set(p.Labels)) })
		if !selected && (len(pods) > 0 || contradict(podSelector, r.original.Selector)) {
			return fmt.Sprintf("Service %s, which selects %s, selects no pod of %s: correct its selector, or its %s",
				svc.Name, r.selector, t, contract.TargetKey)
		}
	}
	return ""
}

// contradict reports whether no pod can match both selectors.
func contradict(a labels.Selector, b map[string]string) bool {
	for key, value := range b {
		if required, ok := a.RequiresExactMatch(key); ok && required != value {
			return true
		}
	}
	return false
}
