package sleep

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// event is one thing that happens in a world.
type event struct {
	kind eventKind
	// on is a process, or the place of a flight.
	on int
	// n is the replicas, or the time in milliseconds.
	n int
}

type eventKind uint8

const (
	steps       eventKind = iota // a process does its next thing
	arrives                      // a request is carried out by the API server
	refused                      // or refused for good reason: forbidden, over quota
	answered                     // an answer reaches its sender
	givesUp                      // a process gives up on its call; the request may still arrive
	watches                      // a process hears of the Lease
	connects                     // a client comes
	disconnects                  // a client leaves
	pauses                       // a process stops for a while, as if frozen
	resumes                      // and goes on
	restarts                     // a process dies, and another starts in its pod
	dies                         // a pod is gone
	comes                        // and another comes
	bumps                        // the workload's status changes, and with it the scale's version
	scales                       // a person scales
	follows                      // the pods follow the scale
	passes                       // time passes
	lags                         // time passes, though answers, a watch or the pods have yet to come
)

// happen changes the world by an event that is possible.
func (w *world) happen(e event) {
	w.tell(e)
	w.spend(e.kind)
	switch e.kind {
	case steps:
		w.step(e.on)
	case arrives:
		r := w.apply(w.flights[e.on])
		w.flights[e.on].answer = &r
	case refused:
		w.denied = true
		w.flights[e.on].answer = &Result{Outcome: Refused}
	case answered:
		f := w.flights[e.on]
		w.flights = slices.Delete(w.flights, e.on, e.on+1)
		if w.awaited(f) {
			w.end(f.from, *f.answer)
		}
	case givesUp:
		w.end(e.on, Result{Outcome: Unknown})
	case watches:
		w.observe(&w.procs[e.on])
	case connects:
		w.connect(&w.procs[e.on])
	case disconnects:
		p := &w.procs[e.on]
		if p.active--; p.active == 0 {
			p.idle = w.clock(p)
		}
	case pauses, resumes:
		w.procs[e.on].paused = e.kind == pauses
	case restarts:
		w.start(e.on)
	case dies:
		p := &w.procs[e.on]
		*p = proc{pod: p.pod, skew: p.skew, machine: p.machine}
	case comes:
		p := &w.procs[e.on]
		p.pod = p.pod[:1] + strconv.Itoa(w.ids+1)
		w.start(e.on)
	case bumps:
		w.scaleRV++
	case scales:
		w.hand, w.ours = true, false
		w.setScale(int32(e.n))
		w.theirs = e.n == 0 && !w.used()
	case follows:
		w.pods = w.scale
	case passes, lags:
		for i := range w.procs { // everybody has looked before
			if p := &w.procs[i]; p.runs() && p.call.id == 0 {
				p.machine.Next(w.inputs(p))
			}
		}
		w.denied = w.denied && (e.kind == lags || len(w.flights) > 0 || slices.ContainsFunc(w.procs, func(p proc) bool { return p.paused }))
		w.now = w.now.Add(time.Duration(e.n) * time.Millisecond)
	}
	w.flights = slices.DeleteFunc(w.flights, w.idle)
	for i := range w.flights { // whenever these arrive, it is too late
		if f := &w.flights[i]; w.prompt && f.answer == nil && w.late(*f) {
			f.answer = &Result{Outcome: Conflict}
		}
	}
	w.breaks(always(w))
}

// spend takes an event off what may still happen.
func (w *world) spend(kind eventKind) {
	switch kind {
	case connects:
		w.left.connects--
	case refused, givesUp, pauses, restarts, dies, bumps, lags:
		w.left.faults--
		if i := slices.Index(w.left.kinds, kind); i >= 0 {
			w.left.kinds = slices.Delete(slices.Clone(w.left.kinds), i, i+1)
		}
	case scales:
		w.left.hands--
	}
}

// connect is a client's arrival at a process.
func (w *world) connect(p *proc) {
	w.theirs = false
	if p.open {
		p.active++
	} else {
		p.waiting++
	}
}

func (w *world) awaited(f flight) bool { return w.procs[f.from].call.id == f.id }

// idle reports whether a flight can bring about nothing any more: nobody waits for its answer, and it changes nothing.
func (w *world) idle(f flight) bool {
	if w.awaited(f) {
		return false
	}
	writes := f.action.Kind == Swap || f.action.Kind == WriteScale
	return !writes || f.answer != nil || w.late(f)
}

// late reports whether a request will meet a conflict.
func (w *world) late(f flight) bool {
	switch f.action.Kind {
	case Swap:
		return f.leaseRV != w.leaseRV
	case WriteScale:
		return f.action.Scale.ResourceVersion != strconv.Itoa(w.scaleRV)
	}
	return false
}

func (w *world) tell(e event) {
	if w.log == nil {
		return
	}
	after := w.now.Sub(t0)
	switch e.kind {
	case arrives, refused, answered:
		f := w.flights[e.on]
		what := [...]string{arrives: "reaches the API server", refused: "is refused", answered: "is answered"}[e.kind]
		answer := ""
		if e.kind == answered {
			answer = fmt.Sprintf(": %s %+v", [...]string{"OK", "conflict", "refused", "unknown"}[f.answer.Outcome], f.answer.Scale)
		}
		w.say("%v: %s's request to %s %s%s", after, w.procs[f.from].pod, f.action.words(), what, answer)
	case bumps:
		w.say("%v: the workload's status changes", after)
	case scales:
		w.say("%v: a person scales to %d", after, e.n)
	case follows:
		w.say("%v: the pods follow the scale: %d", after, w.scale)
	case passes, lags:
		w.say("%v: %v pass", after, time.Duration(e.n)*time.Millisecond)
	default:
		w.say("%v: %s %s", after, w.procs[e.on].machine.by, [...]string{
			steps: "looks what to do", givesUp: "gives up on its call", watches: "sees the Lease", connects: "gets a connection",
			disconnects: "loses a connection", pauses: "is paused", resumes: "goes on", restarts: "dies and starts again",
			dies: "is gone with its pod", comes: "is followed by another pod",
		}[e.kind])
	}
}
