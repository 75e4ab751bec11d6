package view

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/labels"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/services"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/proxy/target"
)

// Namespace is what was read of one namespace. What the user may not read is nil, and is shown as unknown.
type Namespace struct {
	Name string
	// Now is when it was read.
	Now time.Time
	// Meta is the Namespace itself.
	Meta     *corev1.Namespace
	Services []*corev1.Service
	// Pods and Leases are nil if they may not be read, and empty if there are none.
	Pods   []*corev1.Pod
	Leases []*coordinationv1.Lease
	// Scales are those of the targets that the Services name.
	Scales map[contract.Target]Scale
	// Proxy is the proxies' Deployment. ProxyKnown says whether it could be read; nil then means that there is none.
	Proxy      *appsv1.Deployment
	ProxyKnown bool
	// Events are only read for an explanation.
	Events []eventsv1.Event
	// ProxyMayScale says whether the proxies may scale each target; a target that is not in it is not known. It is only
	// read for an explanation.
	ProxyMayScale map[contract.Target]bool
}

// Scale is a target's scale. The zero value is one that could not be read.
type Scale struct {
	Known    bool
	Missing  bool
	Replicas int32
	// Selector selects the target's pods; nil if the scale has none.
	Selector labels.Selector
}

// Wanted reports whether TPA manages a Service, or somebody asked for that.
func Wanted(svc *corev1.Service) bool {
	_, asked := svc.Annotations[contract.TargetKey]
	return asked || phaseOf(svc) != ""
}

// Targets returns the targets that a Service names.
func Targets(svc *corev1.Service) []contract.Target {
	settings, _ := contract.Parse(svc.Annotations, contract.Defaults{}) // what is wrong elsewhere does not matter here
	return settings.Targets
}

func phaseOf(svc *corev1.Service) contract.Phase {
	return contract.Phase(svc.Annotations[contract.PhaseKey])
}

// defaults are the settings of the namespace, as the proxies know them or, failing that, as they are written.
func (n *Namespace) defaults() contract.Defaults {
	var d contract.Defaults
	if n.Meta != nil {
		d, _ = contract.ParseDefaults(n.Meta.Annotations) // a bad value is left out here as it is by the controller
	}
	if lease := n.lease(contract.ProxyName); lease != nil {
		if known, err := contract.ParseDefaults(lease.Annotations); err == nil {
			d.IdleTimeout, d.Mode = known.IdleTimeout, known.Mode
		}
	}
	return d
}

func (n *Namespace) lease(name string) *coordinationv1.Lease {
	i := slices.IndexFunc(n.Leases, func(l *coordinationv1.Lease) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return n.Leases[i]
}

// proxies returns the proxies' pods, without those on their way out.
func (n *Namespace) proxies() []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range n.Pods {
		if pod.Labels[contract.SelectorKey] == contract.SelectorValue && pod.DeletionTimestamp == nil {
			pods = append(pods, pod)
		}
	}
	return pods
}

// planned is what is worked out once for all Services.
type planned struct {
	services.Plan
	// usages are what the proxies say of their connections, by pod.
	usages map[string]contract.Usage
}

// usages returns what the proxies that there are say of their connections, by pod.
func (n *Namespace) usages() map[string]contract.Usage {
	usages := map[string]contract.Usage{}
	for _, lease := range n.Leases {
		pod, ok := strings.CutPrefix(lease.Name, contract.PodLease(""))
		if !ok || lease.Labels[contract.LeaseLabel] != contract.LeaseProxy || n.gone(pod) {
			continue
		}
		if u, err := contract.ParseUsage(lease.Annotations[contract.UsageKey]); err == nil {
			usages[pod] = u
		}
	}
	return usages
}

// gone reports whether a pod is known not to exist.
func (n *Namespace) gone(pod string) bool {
	return n.Pods != nil && !slices.ContainsFunc(n.Pods, func(p *corev1.Pod) bool { return p.Name == pod })
}

// plan is what a proxy that sees this would do, and what the proxies say.
func (n *Namespace) plan() planned {
	w := services.World{
		Services: n.Services, Pods: n.Pods, Defaults: n.defaults(), Now: n.Now,
		PodSelectors: map[contract.Target]labels.Selector{}, Views: map[contract.Target]target.View{},
	}
	for t, scale := range n.Scales {
		if scale.Selector != nil && !scale.Selector.Empty() {
			w.PodSelectors[t] = scale.Selector
		}
		state, known := n.sleepState(t)
		v := target.View{Awake: !known || state.Phase == sleep.Awake, Contested: known && state.Contested()}
		if scale.Missing {
			v.Awake, v.MissingSince = true, n.Now.Add(-time.Hour)
		}
		w.Views[t] = v
	}
	return planned{w.Plan(), n.usages()}
}

// sleepState is what a target's Lease says, and whether that could be read.
func (n *Namespace) sleepState(t contract.Target) (sleep.State, bool) {
	lease := n.lease(t.Lease())
	if lease == nil {
		return sleep.State{}, false
	}
	state, err := sleep.Parse(lease.Annotations[contract.StateKey])
	return state, err == nil
}

// history is what has become of a target; nil if that is not known.
func (n *Namespace) history(t contract.Target) *contract.History {
	lease := n.lease(t.Lease())
	if lease == nil || lease.Annotations[contract.HistoryKey] == "" {
		return nil
	}
	h, err := contract.ParseHistory(lease.Annotations[contract.HistoryKey])
	if err != nil {
		return nil
	}
	return &h
}

func isReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// Mode is that of Services which do not set their own.
func (n *Namespace) Mode() contract.Mode { return n.defaults().Mode }

// WakeReplicas is how many replicas a target is to be woken to; 0 means what it had.
func (n *Namespace) WakeReplicas(t contract.Target) int32 {
	return n.plan().Targets[t].Use.WakeReplicas
}
