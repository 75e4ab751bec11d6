package view

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/proxy/target"
)

// Service is how one Service stands.
type Service struct {
	Namespace, Name string
	Phase           contract.Phase
	Targets         []Target
	State           State
	// Reason says what is out of the ordinary; empty if nothing is.
	Reason string
	// Ready and Desired are pods and replicas of all targets, -1 if not known.
	Ready, Desired int32
	// Usage is what passes the proxies for this Service; nil if no proxy says.
	Usage *contract.ServiceUsage
	// Used says that a proxy claims a target; otherwise IdleSince is when the last use ended, the zero time if that is not
	// known.
	Used      bool
	IdleSince time.Time
	// Keeps says in a word why it does not sleep however idle it is; empty if it does, at SleepsAt.
	Keeps    string
	SleepsAt time.Time
	// IdleTimeout is how long the targets are unused before they sleep: the longest of all Services that name them.
	IdleTimeout time.Duration
	// Mode is the most careful one of all Services that name a target; Own is the Service's own.
	Mode, Own contract.Mode
	// WouldSince is since when TPA would have it asleep, which only observes; the zero time if it would be awake.
	WouldSince time.Time
	// History is that of the target with the longest one; nil if none is known. It includes the present sleep, or the one that
	// would be.
	History *contract.History
	// ReadyProxies and Proxies are the namespace's, -1 if not known.
	ReadyProxies, Proxies int32

	now time.Time
}

// List returns how all Services stand that TPA manages or should, by name.
func (n *Namespace) List() []Service {
	plan := n.plan()
	var list []Service
	for _, svc := range n.wanted() {
		list = append(list, n.service(svc, plan))
	}
	return list
}

// wanted are the Services that TPA manages or should, by name.
func (n *Namespace) wanted() []*corev1.Service {
	var wanted []*corev1.Service
	for _, svc := range n.Services {
		if Wanted(svc) {
			wanted = append(wanted, svc)
		}
	}
	slices.SortFunc(wanted, func(a, b *corev1.Service) int { return cmp.Compare(a.Name, b.Name) })
	return wanted
}

func (n *Namespace) service(svc *corev1.Service, plan planned) Service {
	settings, _ := contract.Parse(svc.Annotations, n.defaults()) // what is wrong with them is for Explain
	s := Service{
		Namespace: svc.Namespace, Name: svc.Name, Phase: phaseOf(svc), IdleTimeout: settings.IdleTimeout,
		Ready: -1, Desired: -1, ReadyProxies: -1, Proxies: -1, now: n.Now, Mode: settings.Mode, Own: settings.Mode,
	}
	s.countProxies(n)
	if len(plan.usages) > 0 {
		s.Usage = plan.usage(svc.Name)
	}
	for _, t := range settings.Targets {
		target := n.target(t, n.readyPods(t, svc), plan)
		s.Targets = append(s.Targets, target)
		s.Ready, s.Desired = sum(s.Ready, target.Ready), sum(s.Desired, target.Desired)
		s.IdleTimeout = max(s.IdleTimeout, plan.Targets[t].Use.IdleTimeout)
		s.Mode = max(s.Mode, plan.Targets[t].Use.Mode)
		s.remember(target)
	}
	if len(s.Targets) == 0 && n.Pods != nil { // opted out: the annotation is gone
		s.Ready = n.readyPods(contract.Target{}, svc)
	}
	s.State = s.state()
	s.rest(plan)
	s.Reason = n.reason(svc, s, plan)
	return s
}

// sum adds a number that may not be known (-1) to a sum that may not have begun (-1).
func sum(total, n int32) int32 {
	if n < 0 {
		return total
	}
	return max(total, 0) + n
}

func (s *Service) countProxies(n *Namespace) {
	if n.ProxyKnown {
		s.Proxies, s.ReadyProxies = 0, 0
	}
	if n.Proxy != nil {
		s.Proxies, s.ReadyProxies = n.Proxy.Status.Replicas, n.Proxy.Status.ReadyReplicas
		if n.Proxy.Spec.Replicas != nil {
			s.Proxies = *n.Proxy.Spec.Replicas
		}
	}
}

// usage sums up what the proxies say of a Service's connections.
func (p planned) usage(service string) *contract.ServiceUsage {
	var all contract.ServiceUsage
	for _, u := range p.usages {
		one := u.Services[service]
		all.Open, all.Held, all.Parked = all.Open+one.Open, all.Held+one.Held, all.Parked+one.Parked
		all.Oldest = append(all.Oldest, one.Oldest...)
	}
	slices.SortFunc(all.Oldest, func(a, b contract.ConnectionUsage) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.From, b.From))
	})
	return &all
}

// readyPods counts the ready pods of a target, by its own selector or, if that is not known, by the Service's; -1 if pods
// may not be read.
func (n *Namespace) readyPods(t contract.Target, svc *corev1.Service) int32 {
	if n.Pods == nil {
		return -1
	}
	var ready int32
	for _, pod := range n.pods(t, svc) {
		if isReady(pod) {
			ready++
		}
	}
	return ready
}

// pods returns a target's pods that are not on their way out.
func (n *Namespace) pods(t contract.Target, svc *corev1.Service) []*corev1.Pod {
	selector := n.Scales[t].Selector
	if selector == nil || selector.Empty() {
		selector = selectorOf(svc)
	}
	var pods []*corev1.Pod
	for _, pod := range n.Pods {
		if pod.DeletionTimestamp == nil && selector.Matches(labels.Set(pod.Labels)) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// selectorOf is what the user wrote.
func selectorOf(svc *corev1.Service) labels.Selector {
	selector := svc.Spec.Selector
	if o, err := contract.ParseOriginal(svc.Annotations[contract.OriginalKey]); err == nil && phaseOf(svc).Rewritten() {
		selector = o.Selector
	}
	if len(selector) == 0 {
		return labels.Nothing()
	}
	return labels.SelectorFromSet(selector)
}

// state is the Service's own.
func (s *Service) state() State {
	switch s.Phase {
	case contract.Pending:
		return Pending
	case contract.Restoring:
		return Restoring
	case contract.Active:
		return together(s.Targets)
	}
	return Unmanaged
}

// rest works out since when the targets rest and when they sleep.
func (s *Service) rest(plan planned) {
	if s.Phase != contract.Active {
		return
	}
	known := len(s.Targets) > 0
	for _, t := range s.Targets {
		known = known && t.Known
		if !t.Known {
			continue
		}
		s.Used = s.Used || t.Sleep.Phase == sleep.Awake && used(t.Sleep)
		tp, last := plan.Targets[t.Target], t.Sleep.LastUse()
		idle := sleep.Inputs{IdleTimeout: s.IdleTimeout, SleepRequested: target.HeardOf(tp.Use.SleepRequested, s.now)}.Idle(last)
		s.IdleSince = later(s.IdleSince, last)
		s.SleepsAt = later(s.SleepsAt, later(last.Add(idle), t.Sleep.NotBefore))
		switch {
		case t.Sleep.Contested():
			s.Keeps = "contested"
		case tp.Awake != "":
			s.Keeps = cmp.Or(s.Keeps, "blocked")
		}
	}
	switch s.Mode {
	case contract.ModePaused:
		s.Keeps = "paused"
		s.Used = s.Used && s.busy() // every proxy claims it
	case contract.ModeObserve:
		s.Keeps = cmp.Or(s.Keeps, "observed")
		s.WouldSince = s.wouldSince()
	}
	if s.Used || !known || s.Mode == contract.ModePaused {
		s.IdleSince = time.Time{}
	}
	if s.Used || !known || s.Keeps != "" || s.State != Awake && s.State != Waking && s.State != PartlyAsleep {
		s.SleepsAt = time.Time{}
	}
}

// wouldSince is since when all targets would be asleep; the zero time if one would not.
func (s *Service) wouldSince() time.Time {
	var since time.Time
	for _, t := range s.Targets {
		if t.WouldSince.IsZero() {
			return time.Time{}
		}
		since = later(since, t.WouldSince)
	}
	return since
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// remember takes in the history of a target.
func (s *Service) remember(t Target) {
	h, known := t.Past(s.now)
	if !known {
		return
	}
	if s.History == nil || events(h) > events(*s.History) {
		s.History = &h
	}
}

// events is how much has happened in a history.
func events(h contract.History) int64 { return h.Sleeps + h.Wakes + h.Observed.Sleeps }

// TargetNames are the targets as people write them.
func (s Service) TargetNames() string {
	names := make([]string, len(s.Targets))
	for i, t := range s.Targets {
		names[i] = t.Target.String()
	}
	return strings.Join(names, ",")
}
