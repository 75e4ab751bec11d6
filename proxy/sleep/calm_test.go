package sleep

import (
	"slices"
	"time"
)

// calm lets the world go on without faults, fairly, until it is at rest; then without any connection; then with one at each
// process in turn. What must come comes on the way, or the world is broken. Worlds known to come to rest are taken from
// there, if it is not nil.
func (w *world) calm(known map[key]struct{}) {
	w.mend(nothingDenied)
	if !w.rest(known) {
		return
	}
	w.empty()
	for i := range w.procs {
		if w.procs[i].steward {
			continue
		}
		if !w.rest(known) {
			return
		}
		w.happen(event{kind: connects, on: i})
		if !w.rest(known) {
			return
		}
		w.empty()
	}
	w.rest(known)
}

// answers checks that whoever waits passes the gate, though the API server denies writes of 0, or the scale altogether, for
// good.
func (w *world) answers(denied denial, known map[key]struct{}) {
	w.mend(denied)
	if !w.used() {
		w.happen(event{kind: connects})
	}
	w.goOn(known, func() bool {
		return !slices.ContainsFunc(w.procs, func(p proc) bool { return p.waiting > 0 })
	})
}

// mend ends all faults but what is denied.
func (w *world) mend(denied denial) {
	w.left, w.sleeps = budget{}, 0
	if w.down {
		w.happen(event{kind: returns})
	}
	if w.denied != denied {
		w.happen(event{kind: allows, n: int(denied)})
	}
	for i := range w.procs {
		p := &w.procs[i]
		p.stalled = false
		switch {
		case !p.alive:
			w.happen(event{kind: comes, on: i})
		case p.paused:
			w.happen(event{kind: resumes, on: i})
		}
		if p.blocked {
			w.happen(event{kind: unblocks, on: i})
		}
		if p.kept {
			w.happen(event{kind: unkeeps, on: i})
		}
	}
}

// empty ends all connections.
func (w *world) empty() {
	for i := range w.procs {
		for w.procs[i].active > 0 {
			w.happen(event{kind: disconnects, on: i})
		}
	}
}

// rest lets one event after the other happen until there is none any more. It reports false if the world is broken, or is
// known to come to rest.
func (w *world) rest(known map[key]struct{}) bool {
	return w.goOn(known, func() bool { return false })
}

// goOn lets one event after the other happen until there is none any more, or it is enough. It reports false if the world is
// broken, or is known to come to that.
func (w *world) goOn(known map[key]struct{}, enough func() bool) bool {
	var way []key
	for n := 0; w.broken == nil && !enough(); n++ {
		if known != nil {
			w.sleeps = 0 // they do not matter here
			k := w.key()
			if _, ok := known[k]; ok {
				remember(known, way)
				return false
			}
			way = append(way, k)
		}
		e, more := w.nextInCalm()
		if !more {
			w.breaks(atRest(w))
			break
		}
		w.happen(e)
		if n > 5000 {
			w.breaks(broken("comes to rest", "there is always something to do: %v", e))
		}
	}
	if w.broken == nil {
		remember(known, way)
	}
	return w.broken == nil
}

func remember(known map[key]struct{}, way []key) {
	for _, k := range way {
		known[k] = struct{}{}
	}
}

// nextInCalm is the one thing that happens next when nothing goes wrong.
func (w *world) nextInCalm() (event, bool) {
	if len(w.flights) > 0 {
		if w.flights[0].answer == nil {
			return event{kind: arrives}, true
		}
		return event{kind: answered}, true
	}
	for i := range w.procs {
		if w.behind(&w.procs[i]) {
			return event{kind: watches, on: i}, true
		}
	}
	if w.pods != w.scale {
		return event{kind: follows}, true
	}
	for i := range w.procs {
		p := &w.procs[i]
		switch {
		case p.call.id == 0 && w.wants(p, w.intent(p)):
			return event{kind: steps, on: i}, true
		case p.steward && w.canRelease(p):
			return event{kind: releases, on: i}, true
		case !p.alive:
			return event{kind: comes, on: i}, true
		case p.leaving && w.canExit(p):
			return event{kind: exits, on: i}, true
		}
	}
	d := w.nextTime()
	return event{kind: passes, n: int(d / time.Millisecond)}, d > 0
}

// behind reports whether a process has yet to hear of the Lease as it is.
func (w *world) behind(p *proc) bool {
	return p.runs() && w.leaseRV > 0 && p.seenRV != w.leaseRV && (!p.steward || p.holding)
}

// wants reports whether an action is something to do now.
func (w *world) wants(p *proc, a Action) bool {
	if p.steward && !p.holding {
		return false
	}
	if p.steward && a.Kind == Wait && p.machine.Held() {
		return true // to note that
	}
	return a.Kind != Wait || !a.At.IsZero() && !a.At.After(w.clock(p))
}

// nextTime is how long it is until a process that runs, and waits for no answer, wants to do something; 0 if none does, or
// one wants to at once.
func (w *world) nextTime() time.Duration {
	var next time.Duration
	for i := range w.procs {
		p := &w.procs[i]
		if !p.runs() || p.call.id != 0 || p.steward && !p.holding {
			continue
		}
		a := w.intent(p)
		if w.wants(p, a) {
			return 0
		}
		if d := a.At.Sub(w.clock(p)); !a.At.IsZero() && (next == 0 || d < next) {
			next = d
		}
	}
	return next
}
