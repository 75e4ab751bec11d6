package sleep

import "time"

// calm lets the world go on without faults, fairly, until it is at rest; then without any connection; then with one at each
// process in turn. What must come comes on the way, or the world is broken. Worlds known to come to rest are taken from
// there, if it is not nil.
func (w *world) calm(known map[key]struct{}) {
	w.left, w.sleeps = budget{}, 0
	for i := range w.procs {
		p := &w.procs[i]
		p.stalled = false
		switch {
		case !p.alive:
			w.happen(event{kind: comes, on: i})
		case p.paused:
			w.happen(event{kind: resumes, on: i})
		}
	}
	if !w.rest(known) {
		return
	}
	w.empty()
	for i := range w.procs {
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
	var way []key
	more := true
	for n := 0; more && w.broken == nil; n++ {
		if known != nil {
			w.sleeps = 0 // they do not matter here
			k := w.key()
			if _, ok := known[k]; ok {
				break
			}
			way = append(way, k)
		}
		var e event
		if e, more = w.nextInCalm(); more {
			w.happen(e)
		} else {
			w.breaks(atRest(w))
		}
		if n > 5000 {
			w.breaks(broken("comes to rest", "there is always something to do: %v", e))
		}
	}
	if w.broken != nil {
		return false
	}
	for _, k := range way {
		known[k] = struct{}{}
	}
	return !more
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
		if p := &w.procs[i]; w.wants(p, w.intent(p)) {
			return event{kind: steps, on: i}, true
		}
	}
	d := w.nextTime()
	return event{kind: passes, n: int(d / time.Millisecond)}, d > 0
}

// behind reports whether a process has yet to hear of the Lease as it is.
func (w *world) behind(p *proc) bool {
	return p.runs() && w.leaseRV > 0 && (p.seenRV != w.leaseRV)
}

// wants reports whether an action is something to do now.
func (w *world) wants(p *proc, a Action) bool {
	return a.Kind != Wait || !a.At.IsZero() && !a.At.After(w.clock(p))
}

// nextTime is how long it is until a process that runs, and waits for no answer, wants to do something; 0 if none does, or
// one wants to at once.
func (w *world) nextTime() time.Duration {
	var next time.Duration
	for i := range w.procs {
		p := &w.procs[i]
		if !p.runs() || p.call.id != 0 {
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
