package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/proxy/target"
)

// Explanation is why a Service stands as it does.
type Explanation struct {
	Service
	Settings []Setting
	// Why says what leads to the state, in the order in which to read it.
	Why []string
	// Problems are what keeps it from working as one would expect.
	Problems []Problem
	// Events are what was said of it, the latest first.
	Events []Event
	// Unread lists what the user may not read, so that it is missing here.
	Unread []string
}

// Event is what was said of an object.
type Event struct {
	At           time.Time
	Reason, Note string
}

// Explain explains a Service, and reports whether there is one of that name.
func (n *Namespace) Explain(name string) (Explanation, bool) {
	i := slices.IndexFunc(n.Services, func(svc *corev1.Service) bool { return svc.Name == name })
	if i < 0 {
		return Explanation{}, false
	}
	return n.explain(n.Services[i], n.plan()), true
}

// ExplainAll explains each Service of List, by name.
func (n *Namespace) ExplainAll() []Explanation {
	plan := n.plan()
	var all []Explanation
	for _, svc := range n.wanted() {
		all = append(all, n.explain(svc, plan))
	}
	return all
}

func (n *Namespace) explain(svc *corev1.Service, plan planned) Explanation {
	s := n.service(svc, plan)
	return Explanation{
		Service: s, Settings: n.settings(svc), Why: n.why(svc, s, plan), Problems: n.problems(svc, s, plan),
		Events: n.eventsOf("Service", svc.Name), Unread: n.unread(),
	}
}

func (n *Namespace) unread() []string {
	var unread []string
	for what, missing := range map[string]bool{
		"pods": n.Pods == nil, "leases.coordination.k8s.io": n.Leases == nil, "deployments.apps": !n.ProxyKnown,
		"namespaces": n.Meta == nil, "events.events.k8s.io": n.Events == nil,
	} {
		if missing {
			unread = append(unread, what)
		}
	}
	for t, scale := range n.Scales {
		if !scale.Known && !scale.Missing {
			unread = append(unread, fmt.Sprintf("%s/scale %s", t.GroupResource(), t.Name))
		}
	}
	slices.Sort(unread)
	return unread
}

// why says what leads to the state of a Service.
func (n *Namespace) why(svc *corev1.Service, s Service, plan planned) []string {
	switch s.Phase {
	case contract.Pending:
		return []string{"Its connections go to its pods directly, as without TPA, until the proxies are ready to take them over."}
	case contract.Restoring:
		return []string{"TPA gives the Service back: the proxies serve it until a pod is ready, five minutes at most."}
	case contract.Active:
	default:
		return []string{"Its connections go to its pods directly; TPA has nothing to do with it."}
	}
	why := n.connections(svc.Name, plan)
	switch s.Mode {
	case contract.ModePaused:
		why = append(why, fmt.Sprintf("It is paused (%s): it stays awake until: kubectl tpa resume %s -n %s", contract.ModeKey, s.pausedBy(plan), n.Name))
	case contract.ModeObserve:
		would := "It would be awake now."
		switch {
		case !s.WouldSince.IsZero():
			would = fmt.Sprintf("It would be asleep since %s.", n.at(s.WouldSince))
		case s.State == Asleep || s.State == PartlyAsleep:
			would = "What sleeps already sleeps on until its next connection."
		}
		why = append(why, fmt.Sprintf("TPA only observes (%s): it does everything but the sleep itself. %s", contract.ModeKey, would))
	}
	for _, t := range s.Targets {
		if !t.Known {
			continue
		}
		switch t.Sleep.Phase {
		case sleep.Asleep:
			why = append(why, fmt.Sprintf("%s sleeps since %s; the next connection wakes it to %d.", t.Target, n.at(t.Sleep.Since),
				t.Sleep.WakeTo(plan.Targets[t.Target].Use.WakeReplicas)))
		case sleep.Sleeping:
			why = append(why, fmt.Sprintf("%s is being scaled to 0 since %s.", t.Target, n.at(t.Sleep.Since)))
		default:
			if t.State == Asleep {
				why = append(why, fmt.Sprintf("%s was scaled to 0 by hand; the next connection wakes it to %d.", t.Target,
					t.Sleep.WakeTo(plan.Targets[t.Target].Use.WakeReplicas)))
			}
			why = append(why, n.claims(svc.Name, t, s, plan)...)
			why = append(why, n.whenItSleeps(t, s, plan.Targets[t.Target].Use.SleepRequested)...)
		}
	}
	if s.State == Asleep || s.State == PartlyAsleep {
		why = append(why, n.wakesNot(svc)...)
	}
	return append(why, n.shared(svc, s, plan)...)
}

// pausedBy names the Services that have a target of this one paused.
func (s Service) pausedBy(plan planned) string {
	var names []string
	for _, t := range s.Targets {
		for _, uid := range plan.Targets[t.Target].Services {
			if sp := plan.Services[uid]; sp.Settings.Mode == contract.ModePaused && !slices.Contains(names, sp.Name) {
				names = append(names, sp.Name)
			}
		}
	}
	return strings.Join(names, " ")
}

// wakesNot says which connections do not wake a target.
func (n *Namespace) wakesNot(svc *corev1.Service) []string {
	var lines []string
	settings, _ := contract.Parse(svc.Annotations, n.defaults()) // what is wrong with them is a problem
	if settings.WakeOnData {
		lines = append(lines, fmt.Sprintf("A connection wakes it with its first byte, not before (%s).", contract.WakeOnKey))
	}
	if len(settings.PassivePorts) > 0 {
		lines = append(lines, fmt.Sprintf("Connections to port %s do not wake it (%s).", strings.Join(settings.PassivePorts, ", "), contract.PassivePortsKey))
	}
	if len(settings.IgnoreSources) > 0 {
		lines = append(lines, fmt.Sprintf("Connections from %s do not wake it (%s).", svc.Annotations[contract.IgnoreSourcesKey], contract.IgnoreSourcesKey))
	}
	return lines
}

// at is a time and how long ago that is.
func (n *Namespace) at(t time.Time) string {
	return fmt.Sprintf("%s (%s ago)", t.UTC().Format(time.RFC3339), duration.HumanDuration(n.Now.Sub(t)))
}

// connections says who is connected, by proxy.
func (n *Namespace) connections(service string, plan planned) []string {
	var lines []string
	if len(plan.usages) == 0 && n.Leases != nil {
		return []string{"The proxies do not say which connections they have; it takes a newer version of them."}
	}
	for _, pod := range slices.Sorted(maps.Keys(plan.usages)) {
		u := plan.usages[pod].Services[service]
		if u.Open+u.Held == 0 {
			continue
		}
		line := fmt.Sprintf("Through proxy %s: %s open", pod, count(u.Open, "connection"))
		if u.Parked > 0 {
			line += fmt.Sprintf(", of which %d silent that do not count", u.Parked)
		}
		if u.Held > 0 {
			line += fmt.Sprintf(", %d held until a pod is ready", u.Held)
		}
		lines = append(lines, line+".")
		for _, c := range u.Oldest {
			lines = append(lines, fmt.Sprintf("  from %s to port %d since %s", c.From, c.Port, n.at(c.Since)))
		}
	}
	return lines
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// claims says who keeps an awake target from sleeping, other than by the connections that were named.
func (n *Namespace) claims(service string, t Target, s Service, plan planned) []string {
	var lines []string
	for _, holder := range slices.Sorted(maps.Keys(t.Sleep.Claims)) {
		if !t.Sleep.Claims[holder].Active() {
			continue
		}
		_, says := plan.usages[holder]
		users := plan.users(holder, t.Target)
		switch {
		case strings.HasPrefix(holder, "/"):
			lines = append(lines, fmt.Sprintf("The controller keeps %s awake while it gives a Service back.", t.Target))
		case n.gone(holder):
			lines = append(lines, fmt.Sprintf("Proxy %s claims %s and does not exist any more: another proxy drops the claim soon.", holder, t.Target))
		case plan.Targets[t.Target].Use.Mode == contract.ModePaused && len(users) == 0: // said already
		case !says:
			lines = append(lines, fmt.Sprintf("Proxy %s claims %s.", holder, t.Target))
		case len(users) == 0:
			lines = append(lines, fmt.Sprintf("Proxy %s claims %s and has no connection: it gives the claim up %s after the last use, "+
				"half of idle-timeout.", holder, t.Target, span(sleep.Quiet(s.IdleTimeout))))
		case !slices.Contains(users, service):
			lines = append(lines, fmt.Sprintf("Proxy %s claims %s for connections of Service %s.", holder, t.Target, strings.Join(users, ", ")))
		}
	}
	return lines
}

// users are the Services with connections to a target through a proxy.
func (p planned) users(proxy string, t contract.Target) []string {
	var users []string
	for _, uid := range p.Targets[t].Services {
		if u := p.usages[proxy].Services[p.Services[uid].Name]; u.Open-u.Parked+u.Held > 0 {
			users = append(users, p.Services[uid].Name)
		}
	}
	return users
}

// unused reports whether it is known that nobody has a connection to a target.
func (p planned) unused(t contract.Target) bool {
	for proxy := range p.usages {
		if len(p.users(proxy, t)) > 0 {
			return false
		}
	}
	return len(p.usages) > 0
}

// whenItSleeps says when an awake target sleeps.
func (n *Namespace) whenItSleeps(t Target, s Service, requested time.Time) []string {
	var lines []string
	idle := t.Sleep.LastUse()
	if !used(t.Sleep) {
		lines = append(lines, fmt.Sprintf("Nobody has used %s since %s; idle-timeout is %s.", t.Target, n.at(idle), span(s.IdleTimeout)))
	}
	switch {
	case requested.IsZero(), used(t.Sleep), s.Keeps != "":
	case target.HeardOf(requested, n.Now).IsZero():
		lines = append(lines, fmt.Sprintf("That somebody asked at %s for it to sleep (%s) does not count: that is still to come.",
			requested.Format(time.RFC3339), contract.SleepRequestedKey))
	case idle.Before(requested):
		lines = append(lines, fmt.Sprintf("Somebody asked at %s for it to sleep without waiting for that (%s).",
			requested.Format(time.RFC3339), contract.SleepRequestedKey))
	default:
		lines = append(lines, fmt.Sprintf("That somebody asked at %s for it to sleep (%s) does not count any more: it was used or woken since.",
			requested.Format(time.RFC3339), contract.SleepRequestedKey))
	}
	if t.Sleep.NotBefore.After(n.Now) && t.Sleep.NotBefore.After(idle.Add(s.IdleTimeout)) {
		lines = append(lines, fmt.Sprintf("It does not sleep before %s (in %s): connections that were made before the Service became Active "+
			"do not pass the proxies and get time to end (settle time).", t.Sleep.NotBefore.UTC().Format(time.RFC3339),
			duration.HumanDuration(t.Sleep.NotBefore.Sub(n.Now))))
	}
	switch {
	case s.SleepsAt.IsZero():
	case !s.SleepsAt.After(n.Now):
		lines = append(lines, "It is about to sleep, unless somebody connects.")
	default:
		lines = append(lines, fmt.Sprintf("It sleeps at %s at the earliest (in %s), unless somebody connects.",
			s.SleepsAt.UTC().Format(time.RFC3339), duration.HumanDuration(s.SleepsAt.Sub(n.Now))))
	}
	return lines
}

// shared says which other Services keep the same targets awake.
func (n *Namespace) shared(svc *corev1.Service, s Service, plan planned) []string {
	var lines []string
	for _, t := range s.Targets {
		for _, uid := range plan.Targets[t.Target].Services {
			if other := plan.Services[uid]; uid != svc.UID {
				lines = append(lines, fmt.Sprintf("Service %s has the same target %s, which sleeps when neither is used, for the longest idle-timeout of all "+
					"(its is %s).", other.Name, t.Target, span(other.Settings.IdleTimeout)))
			}
		}
	}
	return lines
}
