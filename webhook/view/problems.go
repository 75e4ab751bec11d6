package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/services"
)

// Problem is something that keeps a Service from working as one would expect.
type Problem struct {
	// What is wrong, in one sentence.
	What string
	// Mend says what to do; empty if What says it, or if there is nothing to do but wait.
	Mend string
}

// reason is the first problem of a Service, for a table.
func (n *Namespace) reason(svc *corev1.Service, s Service, plan planned) string {
	if problems := n.problems(svc, s, plan); len(problems) > 0 {
		return problems[0].What
	}
	return ""
}

// problems returns what is wrong, what matters most first.
func (n *Namespace) problems(svc *corev1.Service, s Service, plan planned) []Problem {
	var found []Problem
	switch s.Phase {
	case contract.Pending:
		for _, t := range s.Targets {
			if missing := plan.Targets[t.Target].Missing; missing != "" {
				found = append(found, Problem{What: missing})
			}
		}
		found = append(found, n.pending(svc)...)
	case contract.Restoring:
		if s.Ready == 0 {
			found = append(found, Problem{What: "no pod is ready: " + services.WhyNotReady(n.pods(contract.Target{}, svc))})
		}
	case contract.Active:
		found = n.active(svc, s, plan)
	default:
		found = n.unmanaged(svc)
	}
	if _, asked := svc.Annotations[contract.TargetKey]; asked {
		if _, err := contract.Parse(svc.Annotations, contract.Defaults{}); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				found = append(found, Problem{What: line})
			}
		}
	}
	return found
}

func (n *Namespace) unmanaged(svc *corev1.Service) []Problem {
	var found []Problem
	if n.Meta != nil && n.Meta.Labels[contract.InjectLabel] != contract.InjectEnabled {
		found = append(found, Problem{
			fmt.Sprintf("namespace %s is not opted in", n.Name),
			fmt.Sprintf("kubectl label namespace %s %s=%s", n.Name, contract.InjectLabel, contract.InjectEnabled),
		})
	}
	if _, asked := svc.Annotations[contract.TargetKey]; !asked {
		found = append(found, Problem{
			fmt.Sprintf("the Service has no annotation %s", contract.TargetKey),
			fmt.Sprintf("kubectl annotate service %s %s=deployment/NAME -n %s", svc.Name, contract.TargetKey, n.Name),
		})
	}
	if len(found) == 0 {
		found = append(found, Problem{"TPA has not taken the Service over", "kubectl tpa check"})
	}
	return found
}

// pending says what a Service waits for before connections pass the proxies.
func (n *Namespace) pending(svc *corev1.Service) []Problem {
	var found []Problem
	if e := n.lastEvent(svc, "SteppedAside", "ProxyNotReady", "NoPortLeft", "Refused"); e != nil && e.Reason != "ProxyNotReady" {
		found = append(found, Problem{What: e.Note})
	}
	switch {
	case n.ProxyKnown && n.Proxy == nil:
		return append(found, n.noDeployment())
	case n.Proxy != nil && n.Proxy.Status.ReadyReplicas == 0:
		return append(found, n.noProxy("connections do not pass the proxies until one is ready"))
	}
	ports, err := contract.ParsePorts(svc.Annotations[contract.PortsKey])
	if err != nil || len(ports) < len(svc.Spec.Ports) {
		return append(found, Problem{"the controller has not given each of its ports a port of the proxies yet", "kubectl tpa check"})
	}
	for _, pod := range n.proxies() {
		if n.Leases == nil || !isReady(pod) {
			continue
		}
		listening := contract.Listening{}
		if lease := n.lease(contract.PodLease(pod.Name)); lease != nil {
			listening, _ = contract.ParseListening(lease.Annotations[contract.ListeningKey]) // unreadable: acknowledges nothing
		}
		if !listening.Acknowledges(svc.UID, ports) {
			found = append(found, Problem{What: fmt.Sprintf("proxy %s does not listen on all of its ports yet", pod.Name)})
		}
	}
	return found
}

func (n *Namespace) active(svc *corev1.Service, s Service, plan planned) []Problem {
	var found []Problem
	if n.ProxyKnown && n.Proxy == nil {
		found = append(found, n.noDeployment())
	}
	if n.Proxy != nil && n.Proxy.Status.ReadyReplicas == 0 {
		found = append(found, n.noProxy("nothing wakes and nothing sleeps until one is ready"))
	}
	for _, t := range s.Targets {
		tp := plan.Targets[t.Target]
		switch {
		case tp.Missing != "":
			found = append(found, Problem{What: tp.Missing})
		case t.State == Waking:
			found = append(found, n.notReady(svc, t)...)
		}
		if tp.Missing == "" && tp.Awake != "" {
			found = append(found, Problem{What: fmt.Sprintf("%s does not sleep: %s", t.Target, tp.Awake)})
		}
		if may, known := n.ProxyMayScale[t.Target]; known && !may && tp.Missing == "" {
			found = append(found, Problem{
				fmt.Sprintf("the proxies may not scale %s, so that it neither sleeps nor wakes", t.Target),
				fmt.Sprintf("kubectl get rolebinding %s -n %s -o yaml; it gives ClusterRole %s", contract.ProxyName, n.Name, contract.ProxyClusterRole),
			})
		}
		if n.Leases != nil && !t.Known && tp.Missing == "" {
			found = append(found, Problem{What: fmt.Sprintf("the proxies have not said yet how %s stands (Lease %s)", t.Target, t.Lease())})
		}
	}
	return found
}

func (n *Namespace) noDeployment() Problem {
	return Problem{fmt.Sprintf("there is no Deployment %s in namespace %s", contract.ProxyName, n.Name), "kubectl tpa check"}
}

// noProxy says why no proxy is ready.
func (n *Namespace) noProxy(so string) Problem {
	why := ""
	if n.Pods != nil {
		why = " (" + services.WhyNotReady(n.proxies()) + ")"
	}
	if e := n.lastEventOf("Namespace", n.Name, "ProxyNotCreated"); e != nil {
		why = " (" + e.Note + ")"
	}
	return Problem{
		fmt.Sprintf("no proxy of the namespace is ready%s: %s", why, so),
		fmt.Sprintf("kubectl describe pods -n %s -l %s=%s", n.Name, contract.SelectorKey, contract.SelectorValue),
	}
}

// notReady says why a target that should have pods has none that is ready.
func (n *Namespace) notReady(svc *corev1.Service, t Target) []Problem {
	if n.Pods == nil {
		return nil
	}
	pods := n.pods(t.Target, svc)
	if slices.ContainsFunc(pods, isReady) {
		return nil
	}
	if t.Desired == 0 {
		return []Problem{{What: fmt.Sprintf("%s is to be woken and has 0 replicas", t.Target)}}
	}
	what := fmt.Sprintf("no pod of %s is ready: %s", t.Target, services.WhyNotReady(pods))
	var more []string
	for _, pod := range pods {
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Message != "" {
				more = append(more, c.Message)
			}
		}
	}
	if e := n.failedCreate(t.Name); len(pods) == 0 && e != "" {
		more = append(more, e)
	}
	slices.Sort(more)
	if more = slices.Compact(more); len(more) > 0 {
		what += " (" + strings.Join(more, "; ") + ")"
	}
	return []Problem{{what, fmt.Sprintf("kubectl describe %s -n %s", t.Target, n.Name)}}
}

// failedCreate is why no pod of a workload was created, such as an exceeded quota; empty if nobody says.
func (n *Namespace) failedCreate(workload string) string {
	notes := map[string]bool{}
	for _, e := range n.Events {
		if e.Reason == "FailedCreate" && (e.Regarding.Name == workload || strings.HasPrefix(e.Regarding.Name, workload+"-")) {
			notes[e.Note] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(notes)), "; ")
}

// lastEvent is the latest Event on a Service for one of some reasons; nil if there is none.
func (n *Namespace) lastEvent(svc *corev1.Service, reasons ...string) *Event {
	return n.lastEventOf("Service", svc.Name, reasons...)
}

func (n *Namespace) lastEventOf(kind, name string, reasons ...string) *Event {
	events := n.eventsOf(kind, name)
	i := slices.IndexFunc(events, func(e Event) bool { return slices.Contains(reasons, e.Reason) })
	if i < 0 {
		return nil
	}
	return &events[i]
}

// eventsOf returns what was said of an object, the latest first, each text once.
func (n *Namespace) eventsOf(kind, name string) []Event {
	last := map[Event]Event{}
	for _, e := range n.Events {
		if e.Regarding.Kind != kind || e.Regarding.Name != name {
			continue
		}
		at := e.EventTime.Time
		if e.Series != nil {
			at = later(at, e.Series.LastObservedTime.Time)
		}
		at = later(at, e.DeprecatedLastTimestamp.Time)
		said := Event{Reason: e.Reason, Note: e.Note}
		last[said] = Event{At: later(last[said].At, at), Reason: e.Reason, Note: e.Note}
	}
	return slices.SortedFunc(maps.Values(last), func(a, b Event) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Note, b.Note))
	})
}
