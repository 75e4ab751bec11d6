package services

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
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
	// ReadySince is when each ready pod was first seen ready.
	ReadySince map[types.UID]time.Time
	// Now is compared with the times of Views and ReadySince.
	Now time.Time
}

// Plan is what a proxy should do.
type Plan struct {
	Services map[types.UID]ServicePlan
	Targets  map[contract.Target]TargetPlan
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
	// Problem says what is wrong with the Service's annotations; empty if nothing is.
	Problem string
}

// PortPlan is one Service port.
type PortPlan struct {
	Listen  uint16
	Passive bool
	// Lingers says that the Service has lost the port.
	Lingers  bool
	Backends []netip.AddrPort
}

// TargetPlan is how one target is kept.
type TargetPlan struct {
	Use   target.Use
	Ready int
	// Services are those that the target sleeps and wakes for, the oldest first.
	Services []types.UID
	// Awake says to a person why the target does not sleep however idle it is; empty if it does.
	Awake string
}

// Plan works out what to do. Of two Services that claim one proxy port, the older is served.
func (w World) Plan() Plan {
	plan := Plan{Services: map[types.UID]ServicePlan{}, Targets: map[contract.Target]TargetPlan{}}
	taken := map[int32]bool{}
	managed := w.managed()
	for _, svc := range managed {
		sp := w.service(svc, taken)
		plan.Services[svc.UID] = sp
	}
	for _, svc := range w.Lingering {
		old := w.service(svc, taken)
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
	users := map[contract.Target][]*corev1.Service{}
	for _, svc := range managed {
		if sp := plan.Services[svc.UID]; sp.Phase == contract.Active || sp.Phase == contract.Pending {
			for _, t := range sp.Settings.Targets {
				users[t] = append(users[t], svc)
			}
		}
	}
	for t, svcs := range users {
		ready := w.readyPods(t, svcs)
		if w.awake(t) {
			ready = w.reachable(ready, []contract.Target{t})
		}
		tp := TargetPlan{Ready: len(ready)}
		for _, svc := range svcs {
			sp := plan.Services[svc.UID]
			tp.Use.IdleTimeout = max(tp.Use.IdleTimeout, sp.Settings.IdleTimeout)
			tp.Use.WakeReplicas = max(tp.Use.WakeReplicas, sp.Settings.WakeReplicas)
			tp.Services = append(tp.Services, svc.UID)
		}
		tp.Use.Blocked = w.blocked(t, svcs)
		tp.Awake = tp.Use.Blocked
		if selector := w.PodSelectors[t]; selector != nil && tp.Awake == "" {
			tp.Awake = w.Mismatch(t, selector) // whether it sleeps is decided by the selector as it is then, see Manager.allow
		}
		plan.Targets[t] = tp
	}
	return plan
}

// managed returns the Services with a phase, the oldest first.
func (w World) managed() []*corev1.Service {
	var managed []*corev1.Service
	for _, svc := range w.Services {
		if svc.Labels[contract.ManagedLabel] == contract.ManagedTrue && svc.Annotations[contract.PhaseKey] != "" {
			managed = append(managed, svc)
		}
	}
	slices.SortFunc(managed, func(a, b *corev1.Service) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
	})
	return managed
}

func (w World) service(svc *corev1.Service, taken map[int32]bool) ServicePlan {
	sp := ServicePlan{
		Name:     svc.Name,
		Phase:    contract.Phase(svc.Annotations[contract.PhaseKey]),
		Affinity: svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP,
	}
	slots, err := contract.ParsePorts(svc.Annotations[contract.PortsKey])
	if err != nil {
		sp.Problem = err.Error()
		return sp
	}
	original, err := contract.ParseOriginal(svc.Annotations[contract.OriginalKey])
	if err != nil {
		sp.Problem = err.Error()
		return sp
	}
	if _, ok := svc.Annotations[contract.TargetKey]; ok {
		if sp.Settings, err = contract.Parse(svc.Annotations, w.Defaults); err != nil {
			sp.Problem = err.Error()
		}
	}
	if sp.Phase != contract.Restoring {
		sp.Gate = sp.Settings.Targets
	}
	ready := w.reachable(w.ready(labels.SelectorFromSet(original.Selector)), sp.Gate)
	for _, port := range svc.Spec.Ports {
		slot, ok := slots[port.Port]
		if !ok || taken[slot] {
			continue
		}
		taken[slot] = true
		targetPort, ok := original.TargetPorts[port.Port]
		if !ok {
			targetPort = port.TargetPort
		}
		sp.Ports = append(sp.Ports, PortPlan{
			Listen:   uint16(slot),
			Passive:  sp.Settings.Passive(port.Port, port.Name),
			Backends: backends(ready, targetPort, svc.Spec.IPFamilies),
		})
	}
	return sp
}

// readyPods returns the ready pods of a target: by its own selector, or, until that is known, by its Services'.
func (w World) readyPods(t contract.Target, users []*corev1.Service) []*corev1.Pod {
	if selector := w.PodSelectors[t]; selector != nil {
		return w.ready(selector)
	}
	var pods []*corev1.Pod
	for _, svc := range users {
		if original, err := contract.ParseOriginal(svc.Annotations[contract.OriginalKey]); err == nil {
			pods = append(pods, w.ready(labels.SelectorFromSet(original.Selector))...)
		}
	}
	return pods
}

// blocked says why a target must not sleep, in words for a person; empty if it may.
func (w World) blocked(t contract.Target, users []*corev1.Service) string {
	for _, svc := range users {
		if contract.Phase(svc.Annotations[contract.PhaseKey]) == contract.Pending {
			return fmt.Sprintf("connections through Service %s do not pass the proxy yet", svc.Name)
		}
	}
	pods := w.readyPods(t, users)
	for _, svc := range w.Services {
		if len(svc.Spec.Selector) == 0 || svc.Annotations[contract.PhaseKey] != "" || svc.Annotations[contract.BypassKey] == "true" {
			continue
		}
		selector := labels.SelectorFromSet(svc.Spec.Selector)
		if slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return selector.Matches(labels.Set(p.Labels)) }) {
			return fmt.Sprintf("Service %s, which is not managed, selects its pods: annotate that with %s too, or with %s=true",
				svc.Name, contract.TargetKey, contract.BypassKey)
		}
	}
	return ""
}

// Mismatch says which of a target's Services selects none of the target's pods, given their selector: to sleep would
// then stop something that the Service has nothing to do with. Where there are no pods to tell by, it is one that no pod
// of the target can match. Empty if all is well.
func (w World) Mismatch(t contract.Target, podSelector labels.Selector) string {
	pods := w.present(podSelector)
	for _, svc := range w.managed() {
		settings, err := contract.Parse(svc.Annotations, w.Defaults)
		if err != nil || len(settings.Targets) != 1 || settings.Targets[0] != t {
			continue
		}
		original, err := contract.ParseOriginal(svc.Annotations[contract.OriginalKey])
		if err != nil {
			continue
		}
		selector := labels.SelectorFromSet(original.Selector)
		selected := slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return selector.Matches(labels.Set(p.Labels)) })
		if !selected && (len(pods) > 0 || contradict(podSelector, original.Selector)) {
			return fmt.Sprintf("Service %s, which selects %s, selects no pod of %s: correct its selector, or its %s",
				svc.Name, selector, t, contract.TargetKey)
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
