package view

import (
	"slices"
	"time"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/services"
	"tpa.dev/tpa/proxy/sleep"
)

// State is how a Service stands, in one word.
type State string

const (
	Unmanaged    State = "Unmanaged"    // annotated, and TPA has not taken it over
	Pending      State = "Pending"      // connections do not pass the proxies yet
	Awake        State = "Awake"        // a pod is ready
	Sleeping     State = "Sleeping"     // being scaled to 0
	Asleep       State = "Asleep"       // at 0 replicas; the next connection wakes it
	PartlyAsleep State = "PartlyAsleep" // some of its targets are
	Waking       State = "Waking"       // it has replicas, or is to have some, and no pod is ready
	Missing      State = "Missing"      // a target does not exist
	Restoring    State = "Restoring"    // opted out; the proxies serve until the target is awake
	Unknown      State = "Unknown"      // the user may not read what tells, or the proxies have not said yet
)

// Target is how one target stands.
type Target struct {
	contract.Target
	State State
	// Known says that Sleep was read.
	Known bool
	Sleep sleep.State
	// History is nil if it is not known.
	History *contract.History
	// Ready and Desired are pods and replicas, -1 if not known.
	Ready, Desired int32
	// WouldSince is since when TPA would have it asleep, which only observes; the zero time if it would be awake.
	WouldSince time.Time
	// Pod is what one of its pods requests.
	Pod contract.Requests
}

// Past is what has become of the target until now, its present sleep included, or the one that it would be in, and whether that
// is known.
func (t Target) Past(now time.Time) (h contract.History, known bool) {
	if t.History != nil {
		h, known = *t.History, true
	}
	if !t.WouldSince.IsZero() {
		h, known = h.WouldHaveSlept(now.Sub(t.WouldSince), max(0, t.Ready), t.Pod), true
	}
	if known && t.Known && t.Sleep.Phase == sleep.Asleep {
		h = h.Slept(now.Sub(t.Sleep.Since), t.Sleep.Stopped())
	}
	return h, known
}

// wouldSince is since when an observed target would be asleep; the zero time if it would be awake.
func (t Target) wouldSince(tp services.TargetPlan, now time.Time) time.Time {
	if !t.Known || tp.Use.Mode != contract.ModeObserve || tp.Awake != "" {
		return time.Time{}
	}
	since := t.Sleep.Due(tp.Use.IdleTimeout)
	if since.After(now) {
		return time.Time{}
	}
	return since
}

// target returns how a target stands of which so many pods are ready.
func (n *Namespace) target(t contract.Target, ready int32, plan planned) Target {
	state, known := n.sleepState(t)
	tp := plan.Targets[t]
	target := Target{Target: t, Known: known, Sleep: state, History: n.history(t), Ready: ready, Desired: -1, Pod: tp.Pod}
	scale := n.Scales[t]
	if scale.Known {
		target.Desired = scale.Replicas
	}
	target.State = stateOf(scale, state, known, ready)
	if target.State == Waking && target.Desired == 0 && tp.Use.Mode == contract.ModePaused && plan.unused(t) {
		target.State = Asleep // by hand: the proxies claim what is paused, and let be who does that
	}
	target.WouldSince = target.wouldSince(tp, n.Now)
	return target
}

// stateOf is the state of one target, of which so many pods are ready; -1 if that is not known.
func stateOf(scale Scale, state sleep.State, known bool, ready int32) State {
	up := scale.Known && scale.Replicas > 0
	down := scale.Known && scale.Replicas == 0
	switch {
	case scale.Missing:
		return Missing
	case !known:
		return Unknown
	case state.Phase == sleep.Sleeping:
		return Sleeping
	case state.Phase == sleep.Asleep && up && ready == 0: // by hand: the proxies notice once a pod is there
		return Waking
	case state.Phase == sleep.Asleep && !up:
		return Asleep
	case down && !used(state): // by hand, and nobody wants it
		return Asleep
	case ready == 0:
		return Waking
	}
	return Awake
}

// used reports whether a proxy says that the target is in use.
func used(state sleep.State) bool {
	for _, c := range state.Claims {
		if c.Active() {
			return true
		}
	}
	return false
}

// together is the state of a Service with such targets, by what matters most to who waits for it.
func together(targets []Target) State {
	has := func(s State) bool {
		return slices.ContainsFunc(targets, func(t Target) bool { return t.State == s })
	}
	for _, s := range []State{Missing, Unknown, Sleeping, Waking} {
		if has(s) {
			return s
		}
	}
	switch {
	case has(Asleep) && has(Awake):
		return PartlyAsleep
	case has(Asleep):
		return Asleep
	case has(Awake):
		return Awake
	}
	return Unknown
}
