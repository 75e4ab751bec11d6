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
	// n is the replicas, the time in milliseconds, or what is denied.
	n int
}

type eventKind uint8

const (
	steps       eventKind = iota // a process does its next thing
	arrives                      // a request is carried out by the API server
	refused                      // or refused this once: by a policy that is about to change
	repeats                      // or carried out, and sent again on its way
	vanishes                     // or lost, when nobody waits for it any more
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
	denies                       // the rights change, or a policy
	allows                       // and change back
	fails                        // the API server goes away
	returns                      // and is there again
	dares                        // a process dials without a claim meanwhile
	leaves                       // a process is to end, or has no Service of the target any more
	exits                        // and ends
	blocks                       // something keeps the target from sleeping, as a process sees it
	unblocks                     // or does not any more
	keeps                        // the target is paused, as a process sees it
	unkeeps                      // or is not any more
	asks                         // somebody asks for a sleep
	holds                        // the controller is about to claim the target
	releases                     // the controller gives its claim up
	settles                      // the controller has the target left awake for a while
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
		w.flights[e.on].answer = &Result{Outcome: Refused}
	case repeats:
		w.apply(w.flights[e.on])
	case vanishes:
		w.flights = slices.Delete(slices.Clone(w.flights), e.on, e.on+1)
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
	case denies, allows:
		w.denied = denial(e.n)
	case fails:
		w.down = true
	case returns:
		w.down = false
		for i := range w.procs {
			p := &w.procs[i]
			p.lost = w.clock(p)
		}
	case dares:
		p := &w.procs[e.on]
		p.bold = true
		w.swing(p)
	case leaves:
		w.procs[e.on].leaving = true
	case exits:
		p := &w.procs[e.on]
		*p = proc{pod: p.pod, skew: p.skew, machine: p.machine}
	case blocks, unblocks:
		w.procs[e.on].blocked = e.kind == blocks
	case keeps:
		p := &w.procs[e.on]
		p.kept, w.theirs = true, false
		p.machine.Rouse()
	case unkeeps:
		w.procs[e.on].kept = false
	case asks:
		w.requested = w.now
	case holds:
		w.procs[e.on].holding = true
		w.theirs = false // who opts out gets back what the Lease says is owed
		w.observe(&w.procs[e.on])
	case releases:
		w.start(e.on)
		w.edit(e.on, w.lease.Drop(controller, w.now))
	case settles:
		state := w.lease.clone()
		state.NotBefore = w.now.Add(2 * idleTimeout)
		w.edit(e.on, state)
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
	case leaves, blocks, keeps, asks, holds, settles:
		if i := slices.Index(w.left.edits, kind); i >= 0 {
			w.left.edits = slices.Delete(slices.Clone(w.left.edits), i, i+1)
		}
	case refused, repeats, givesUp, pauses, restarts, dies, denies, fails, bumps, lags:
		if kind == givesUp && w.down {
			break
		}
		w.left.faults--
		if i := slices.Index(w.left.kinds, kind); i >= 0 {
			w.left.kinds = slices.Delete(slices.Clone(w.left.kinds), i, i+1)
		}
	case scales:
		w.left.hands--
	}
}

// edit is a write of the Lease by the controller that is no step of its machine.
func (w *world) edit(i int, state State) {
	state.Seq = w.lease.Seq + 1
	w.call(flight{from: i, action: Action{Kind: Swap, State: state}, leaseRV: w.leaseRV, plain: true})
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
	case arrives, refused, repeats, vanishes, answered:
		f := w.flights[e.on]
		what := [...]string{
			arrives: "reaches the API server", refused: "is refused", answered: "is answered",
			repeats: "reaches the API server and is sent again", vanishes: "is lost",
		}[e.kind]
		answer := ""
		if e.kind == answered {
			answer = fmt.Sprintf(": %s %+v", [...]string{"OK", "conflict", "refused", "unknown"}[f.answer.Outcome], f.answer.Scale)
		}
		w.say("%v: %s's request to %s %s%s", after, w.procs[f.from].pod, f.action.words(), what, answer)
	case denies, allows:
		w.say("%v: the API server denies %s", after, [...]string{"nothing", "writes of 0", "the scale"}[e.n])
	case fails:
		w.say("%v: the API server goes away", after)
	case returns:
		w.say("%v: the API server is back", after)
	case asks:
		w.say("%v: somebody asks for a sleep", after)
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
			dies: "is gone with its pod", comes: "is followed by another pod", dares: "dials without a claim",
			leaves: "is to leave", exits: "has left", blocks: "must not sleep", unblocks: "may sleep",
			keeps: "is to keep the target awake", unkeeps: "need not keep it awake",
			holds: "is to hold the target", releases: "gives its claim up", settles: "has the target left awake",
		}[e.kind])
	}
}
