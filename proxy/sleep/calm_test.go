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
	for n := 0; w.broken == nil; n++ {
		if known != nil {
			w.sleeps = 0
			k := w.key()
			if _, ok := known[k]; ok {
				n = -1
			}
			way = append(way, k)
			if n < 0 {
				break
			}
		}
		e, ok := w.nextInCalm()
		if !ok {
			w.breaks(atRest(w))
			if w.broken != nil {
				return false
			}
			for _, k := range way {
				known[k] = struct{}{}
			}
			return true
		}
		if n > 5000 {
			w.breaks(broken("comes to rest", "there is always something to do: %v", e))
			return false
		}
		w.happen(e)
	}
	if w.broken == nil {
		for _, k := range way {
			known[k] = struct{}{}
		}
	}
	return false
}

// nextInCalm is the one thing that happens next when nothing goes wrong.
func (w *world) nextInCalm() (event, bool) {
	for i, f := range w.flights {
		if f.answer == nil {
			return event{kind: arrives, on: i}, true
		}
		return event{kind: answered, on: i}, true
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
