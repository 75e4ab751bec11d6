package sleep

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// world is an API server with one Lease and one scale, and the processes around them. Requests and answers travel: they may
// arrive late, after their sender has given up on them or has died, or never. It is changed by events alone, see event; the
// random worlds draw them, the exploration tries them all.
type world struct {
	now     time.Time
	lease   State
	leaseRV int // 0 if there is no Lease
	scale   int32
	scaleRV int
	pods    int32 // ready backends: they follow the scale, by and by
	hand    bool  // a person has changed the scale: whatever 0 follows is theirs
	ours    bool  // the scale is 0, and TPA was the last who wrote it
	theirs  bool  // the scale is 0 by a person, and nobody has come since

	// denied says what the API server refuses for now.
	denied denial
	// down says that the API server is away, for everybody.
	down bool
	// reverted is how often in a row a person's scaling ended a sleep that nobody had ended by a use.
	reverted int

	// requested is when somebody last asked for a sleep, by that one's clock, which nobody else's need agree with.
	requested time.Time

	procs   []proc
	flights []flight
	ids     int // of processes and flights
	sleeps  int
	wakes   int

	left   budget
	prompt bool // what only reads reaches the API server at once; its answer may be late, but for that of the Lease
	broken *violation
	log    func(format string, args ...any) // nil: nobody reads it
}

type denial int

const (
	nothingDenied denial = iota
	zeroDenied           // writes of 0
	scaleDenied          // reading and writing the scale
)

// proc is one proxy process as package target runs it: a machine, a gate and the connections inside.
type proc struct {
	pod     string
	alive   bool // the pod exists
	machine Machine
	skew    time.Duration
	seenRV  int
	open    bool
	active  int
	waiting int
	idle    time.Time
	call    flight // the request it waits for; its id is 0 if there is none
	paused  bool
	stalled bool // its requests and answers do not move; its watch does
	leaving bool
	blocked bool
	// kept says that the target is to be awake without a connection, as package target keeps what is paused.
	kept bool
	// steward says that this is the controller (package target): it has no connections, its claim is no pod's, and holding
	// is that it is about to get it.
	steward, holding bool
	// unreached says that its last call failed because the API server was away, lost when it last noticed that; bold, that
	// it dials without a claim meanwhile.
	unreached, bold bool
	// dared says that there may be connections from then.
	dared bool
	lost  time.Time
}

// flight is a request on its way, or the answer to one.
type flight struct {
	id, from int
	action   Action
	leaseRV  int
	answer   *Result
	sent     time.Time
	// plain says that it is no action of a machine.
	plain bool
	// bound says that it ends a Sleeping because no older request can be on its way any more.
	bound bool
}

// newWorld returns a world with a proxy for each skew, a target of two replicas and no Lease.
func newWorld(skews ...time.Duration) *world {
	w := &world{now: t0, scale: 2, pods: 2}
	for i, skew := range skews {
		w.procs = append(w.procs, proc{pod: string(rune('A' + i)), skew: skew})
		w.start(i)
	}
	return w
}

// withController adds the controller.
func (w *world) withController() {
	w.procs = append(w.procs, proc{pod: controller, steward: true})
	w.start(len(w.procs) - 1)
}

const controller = "/controller"

// clone copies the world. What its machines, states and results point to is never changed.
func (w *world) clone() *world {
	c := *w
	c.procs, c.flights = slices.Clone(w.procs), slices.Clone(w.flights)
	return &c
}

func (w *world) say(format string, args ...any) {
	if w.log != nil {
		w.log(format, args...)
	}
}

// start starts a process in a pod that exists.
func (w *world) start(i int) {
	w.ids++
	p := &w.procs[i]
	*p = proc{pod: p.pod, skew: p.skew, alive: true, steward: p.steward, machine: *New(p.pod, p.pod+"/"+strconv.Itoa(w.ids))}
	p.idle = w.clock(p)
	if w.down || slices.ContainsFunc(w.procs, func(p proc) bool { return p.dared }) {
		p.lost = w.clock(p)
	}
}

func (w *world) clock(p *proc) time.Time { return w.now.Add(p.skew) }

func (p *proc) runs() bool { return p.alive && !p.paused }

// observe is the watch, or a read: the process sees the Lease as it is.
func (w *world) observe(p *proc) {
	p.seenRV = w.leaseRV
	p.machine.Observe(w.lease, w.leaseRV > 0, strconv.Itoa(w.leaseRV), w.clock(p))
	w.swing(p)
}

// swing opens or closes the gate as the claim says, or as it must be without.
func (w *world) swing(p *proc) {
	p.bold = w.mayDare(p) && (p.open || p.bold)
	p.dared = (p.dared || p.bold) && !p.machine.Held() && p.active > 0 || p.bold
	p.open = (p.machine.Held() || p.bold) && (p.call.id == 0 || !p.call.action.GivesUp)
	if p.open {
		p.active, p.waiting = p.active+p.waiting, 0
	}
}

// mayDare reports whether a process without a claim may dial because the API server is away.
func (w *world) mayDare(p *proc) bool {
	state, ok := p.machine.State()
	return p.unreached && ok && state.Phase == Awake && w.pods > 0 && !p.machine.Held()
}

const idleTimeout = 20 * time.Second

func (w *world) inputs(p *proc) Inputs {
	in := Inputs{
		Now: w.clock(p), Active: p.active, IdleSince: p.idle, Waiting: p.waiting > 0, Ready: int(w.pods), Starting: w.scale > w.pods,
		IdleTimeout: idleTimeout, SleepRequested: w.requested, Leaving: p.leaving, Blocked: p.blocked, Lost: p.lost,
	}
	if p.kept && !p.leaving {
		in.Served = in.Active == 0
		in.Active++
	}
	if p.steward {
		return Inputs{Now: w.clock(p), Waiting: true, IdleTimeout: time.Hour}
	}
	if state, ok := p.machine.State(); ok {
		for holder := range state.Claims {
			if !w.exists(holder) {
				in.Gone = append(in.Gone, holder)
			}
		}
	}
	return in
}

func (w *world) exists(pod string) bool {
	return slices.ContainsFunc(w.procs, func(p proc) bool { return p.pod == pod && p.alive })
}

// intent is what a process would do now.
func (w *world) intent(p *proc) Action {
	m := p.machine
	return m.Next(w.inputs(p))
}

// step lets a process do its next thing.
func (w *world) step(i int) {
	p := &w.procs[i]
	a := p.machine.Next(w.inputs(p))
	p.holding = p.holding && !(a.Kind == Wait && p.machine.Held())
	if a.Kind == Wait || a.GivesUp && p.active+p.waiting > 0 {
		return
	}
	w.send(i, a)
}

func (w *world) send(i int, a Action) {
	w.call(flight{from: i, action: a, leaseRV: w.procs[i].seenRV})
}

func (w *world) call(f flight) {
	p, a := &w.procs[f.from], f.action
	w.ids++
	f.id, f.sent = w.ids, w.now
	f.bound = p.machine.state.Phase == Sleeping && p.machine.fenced && p.machine.sent
	p.call = f
	w.flights = append(w.flights, f)
	w.say("  %s asks to %s", p.machine.by, a.words())
	w.swing(p)
	if w.prompt && !w.down && (a.Kind == ReadLease || a.Kind == ReadScale || a.Kind == Verify) {
		w.happen(event{kind: arrives, on: len(w.flights) - 1})
		if a.Kind == ReadLease {
			w.happen(event{kind: answered, on: len(w.flights) - 1})
		}
	}
}

// end is how a process takes in the end of the call it waits for.
func (w *world) end(i int, r Result) {
	p := &w.procs[i]
	a, plain := p.call.action, p.call.plain
	p.call = flight{}
	if plain {
		return
	}
	p.machine.Done(a, r, w.clock(p))
	if r.Outcome != Conflict {
		p.unreached = r.Outcome == Unknown && w.down
	}
	switch {
	case (a.Kind == Swap || a.Kind == ReadLease) && r.Outcome == OK:
		w.observe(p)
	case a.Kind == Verify && r.Outcome == OK && len(r.Missing) > 0:
		w.send(i, p.machine.Dropped(r.Missing, w.clock(p)))
	default:
		w.swing(p)
	}
}

// apply is the API server's part: it carries a request out.
func (w *world) apply(f flight) Result {
	if w.late(f) {
		return Result{Outcome: Conflict}
	}
	by := w.procs[f.from].pod
	switch a := f.action; a.Kind {
	case Swap:
		w.breaks(beforeSwap(w, f))
		switch {
		case a.State.anyActive():
			w.reverted = 0
		case w.lease.Phase == Asleep && a.State.Phase == Awake:
			w.reverted++
		}
		w.lease, w.leaseRV = a.State, w.leaseRV+1
		w.say("  the Lease, by %s: %s", by, w.lease)
	case ReadScale:
		if w.denied == scaleDenied {
			return Result{Outcome: Refused}
		}
		return Result{Scale: Scale{w.scale, strconv.Itoa(w.scaleRV)}}
	case WriteScale:
		if w.denied == scaleDenied || w.denied == zeroDenied && a.Replicas == 0 {
			return Result{Outcome: Refused}
		}
		w.say("  the scale, by %s: %d", by, a.Replicas)
		w.scaled(a.Replicas)
		return Result{Scale: Scale{w.scale, strconv.Itoa(w.scaleRV)}}
	case Verify:
		missing := slices.DeleteFunc(slices.Clone(a.Holders), w.exists)
		return Result{Missing: missing}
	}
	return Result{}
}

// scaled is a write of the scale by TPA that has been carried out.
func (w *world) scaled(replicas int32) {
	w.breaks(beforeScale(w, replicas))
	if replicas == 0 {
		w.sleeps++
	} else {
		w.wakes++
	}
	w.setScale(replicas)
	w.ours, w.theirs = replicas == 0, false
}

func (w *world) setScale(n int32) {
	if n != w.scale {
		w.scale, w.scaleRV = n, w.scaleRV+1
	}
}

func (w *world) breaks(v *violation) {
	if w.broken == nil {
		w.broken = v
	}
}

// used reports whether anybody uses the target or waits for it, or has yet to see to it that what is kept has replicas.
func (w *world) used() bool {
	return slices.ContainsFunc(w.procs, func(p proc) bool {
		return p.active+p.waiting > 0 || p.holding || p.kept && (p.machine.ensure || !p.machine.Held())
	})
}

// words is the action as a reader of a trace wants it.
func (a Action) words() string {
	switch a.Kind {
	case ReadLease:
		return "read the Lease"
	case Swap:
		return "write the Lease: " + a.State.String()
	case ReadScale:
		return "read the scale"
	case WriteScale:
		return fmt.Sprintf("scale to %d at version %s", a.Replicas, a.Scale.ResourceVersion)
	case Verify:
		return fmt.Sprint("look for the pods ", a.Holders)
	}
	return "wait"
}
