package sleep

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// world is an API server with one Lease and one scale, and the processes around them. Requests and answers travel: they may
// arrive late, after their sender has given up on them or has died, or never.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	now   time.Time
	seed  uint64
	trace []string

	lease   State
	leaseRV int // 0 if there is no Lease
	scale   int32
	scaleRV int
	hand    bool // a person has changed the scale: whatever 0 follows is theirs
	ours    bool // the scale is 0, and TPA was the last who wrote it

	procs   []*proc
	flights []*flight
	nonce   int
	sleeps  int
	wakes   int
}

// proc is one proxy process as package target runs it: a machine, a gate and the connections inside.
type proc struct {
	pod     string
	alive   bool // the pod exists
	machine *Machine
	skew    time.Duration
	seenRV  int
	open    bool
	active  int
	waiting int
	idle    time.Time
	busy    *flight // the request it waits for
	paused  bool
	stalled bool // its requests and answers do not move; its watch does
}

// flight is a request on its way, or the answer to one.
type flight struct {
	from    *proc
	action  Action
	leaseRV int
	answer  *Result
}

func (w *world) log(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	tail := w.trace[max(0, len(w.trace)-60):]
	for _, line := range tail {
		w.t.Log(line)
	}
	for _, p := range w.procs {
		w.t.Logf("%s alive=%v open=%v active=%d waiting=%d busy=%v next=%+v", p.machine.by, p.alive, p.open, p.active, p.waiting,
			p.busy != nil, p.machine.Next(w.inputs(p)))
	}
	w.t.Fatalf("seed %d: "+format, append([]any{w.seed}, args...)...)
}

func (w *world) start(p *proc) {
	w.nonce++
	p.machine = New(p.pod, fmt.Sprintf("%s/%d", p.pod, w.nonce))
	p.open, p.active, p.waiting, p.busy, p.paused, p.stalled = false, 0, 0, nil, false, false
	p.idle, p.seenRV, p.alive = p.clock(w), 0, true
}

func (p *proc) clock(w *world) time.Time { return w.now.Add(p.skew) }

// observe is the watch, or a read: the process sees the Lease as it is.
func (w *world) observe(p *proc) {
	p.seenRV = w.leaseRV
	p.machine.Observe(w.lease, w.leaseRV > 0, fmt.Sprint(w.leaseRV), p.clock(w))
	w.gate(p)
}

func (w *world) gate(p *proc) {
	p.open = p.machine.Held() && (p.busy == nil || !p.busy.action.GivesUp)
	if p.open {
		p.active, p.waiting = p.active+p.waiting, 0
	}
}

func (w *world) inputs(p *proc) Inputs {
	in := Inputs{
		Now: p.clock(w), Active: p.active, IdleSince: p.idle, Waiting: p.waiting > 0, Ready: int(w.scale),
		IdleTimeout: 20 * time.Second,
	}
	if state, ok := p.machine.State(); ok {
		if state.Phase == Asleep && w.rng.IntN(4) == 0 {
			in.Ready = 2 // pods linger
		}
		for holder := range state.Claims {
			if !w.alive(holder) {
				in.Gone = append(in.Gone, holder)
			}
		}
	}
	return in
}

func (w *world) alive(pod string) bool {
	return slices.ContainsFunc(w.procs, func(p *proc) bool { return p.pod == pod && p.alive })
}

// step lets a process do its next thing.
func (w *world) step(p *proc) {
	if !p.alive || p.paused || p.busy != nil {
		return
	}
	a := p.machine.Next(w.inputs(p))
	if a.Kind == Wait {
		return
	}
	if a.GivesUp {
		if p.active > 0 || p.waiting > 0 {
			return
		}
		p.open = false
	}
	p.busy = &flight{from: p, action: a, leaseRV: p.seenRV}
	w.flights = append(w.flights, p.busy)
}

// arrive carries a request out, or brings its answer, unless the sender has given up on it.
func (w *world) arrive(f *flight, answered, atOnce bool) {
	if f.answer == nil {
		r := w.apply(f)
		if !answered {
			r = Result{Outcome: Unknown}
		}
		f.answer = &r
		if !atOnce {
			w.flights = append(w.flights, f)
			return
		}
	}
	if f.from.busy == f {
		w.answer(f, *f.answer)
	}
}

func (w *world) answer(f *flight, r Result) {
	p := f.from
	p.busy = nil
	p.machine.Done(f.action, r, p.clock(w))
	switch {
	case f.action.Kind == Swap && r.Outcome == OK, f.action.Kind == ReadLease && r.Outcome == OK:
		w.observe(p)
	case f.action.Kind == Swap:
		w.gate(p)
	case f.action.Kind == Verify && r.Outcome == OK && len(r.Missing) > 0:
		p.busy = &flight{from: p, action: p.machine.Dropped(r.Missing, p.clock(w)), leaseRV: p.seenRV}
		w.flights = append(w.flights, p.busy)
	}
}

func (w *world) apply(f *flight) Result {
	switch a := f.action; a.Kind {
	case Swap:
		if f.leaseRV != w.leaseRV {
			return Result{Outcome: Conflict}
		}
		w.lease, w.leaseRV = a.State, w.leaseRV+1
		w.log("%v %s: lease %s", w.now.Sub(time.Unix(1e9, 0)), f.from.machine.by, w.lease)
		if w.ours && !w.lease.Owed {
			w.fail("TPA has written 0 and owes nothing any more")
		}
		return Result{}
	case ReadScale:
		return Result{Scale: Scale{w.scale, fmt.Sprint(w.scaleRV)}}
	case WriteScale:
		if a.Scale.ResourceVersion != fmt.Sprint(w.scaleRV) {
			return Result{Outcome: Conflict}
		}
		w.log("%v %s: scale %d", w.now.Sub(time.Unix(1e9, 0)), f.from.machine.by, a.Replicas)
		if a.Replicas == 0 {
			w.sleeps++
			for _, p := range w.procs {
				if p.alive && p.active > 0 {
					w.fail("0 replicas written while %s has %d connections", p.pod, p.active)
				}
			}
		} else {
			w.wakes++
		}
		w.setScale(a.Replicas)
		w.ours = a.Replicas == 0
		return Result{Scale: Scale{w.scale, fmt.Sprint(w.scaleRV)}}
	case Verify:
		var missing []string
		for _, h := range a.Holders {
			if !w.alive(h) {
				missing = append(missing, h)
			}
		}
		return Result{Missing: missing}
	}
	return Result{}
}

func (w *world) setScale(n int32) {
	if n != w.scale {
		w.scale, w.scaleRV = n, w.scaleRV+1
	}
}

// connect is a client's arrival at a process.
func (w *world) connect(p *proc) {
	if !p.alive || p.paused {
		return
	}
	if p.open {
		p.active++
	} else {
		p.waiting++
	}
}

// disturb does one random thing.
func (w *world) disturb() {
	p := w.procs[w.rng.IntN(len(w.procs))]
	switch k := w.rng.IntN(100); {
	case k < 35:
		w.step(p)
	case k < 60:
		if len(w.flights) > 0 {
			i := w.rng.IntN(len(w.flights))
			f := w.flights[i]
			if f.from.stalled {
				return
			}
			w.flights = append(w.flights[:i], w.flights[i+1:]...)
			w.arrive(f, w.rng.IntN(20) > 0, w.rng.IntN(3) > 0)
		}
	case k < 63: // the sender gives up; the request may still arrive
		if p.busy != nil {
			w.answer(p.busy, Result{Outcome: Unknown})
		}
	case k < 64: // a request is lost
		if len(w.flights) > 0 {
			i := w.rng.IntN(len(w.flights))
			f := w.flights[i]
			w.flights = append(w.flights[:i], w.flights[i+1:]...)
			if f.from.busy == f {
				w.answer(f, Result{Outcome: Unknown})
			}
		}
	case k < 72:
		if p.alive && !p.paused {
			w.observe(p)
		}
	case k < 76:
		w.connect(p)
	case k < 84: // a connection ends
		if p.alive && !p.paused && p.active > 0 {
			p.active--
			if p.active == 0 {
				p.idle = p.clock(w)
			}
		}
	case k < 85:
		if w.rng.IntN(2) == 0 {
			p.paused = !p.paused
		} else {
			p.stalled = !p.stalled
		}
	case k < 86: // a container restarts in its pod, or the pod goes and another comes
		switch w.rng.IntN(3) {
		case 0:
			w.start(p)
		case 1:
			p.alive, p.active, p.waiting, p.open = false, 0, 0, false
			p.busy = nil
		default:
			if !p.alive {
				w.nonce++
				p.pod = fmt.Sprintf("pod%d", w.nonce)
				w.start(p)
			}
		}
	case k < 87: // the Deployment's status changes
		w.scaleRV++
	case k < 88:
		if w.rng.IntN(5) == 0 {
			w.hand, w.ours = true, false
			w.setScale(int32(w.rng.IntN(3)))
			w.log("by hand: scale %d", w.scale)
		}
	default:
		w.now = w.now.Add(time.Duration(w.rng.IntN(4000)) * time.Millisecond)
	}
}

// calm runs the world without faults until nothing changes for long, so that what must come comes.
func (w *world) calm(d time.Duration) {
	for _, p := range w.procs {
		p.paused, p.stalled = false, false
		if !p.alive {
			w.nonce++
			p.pod = fmt.Sprintf("pod%d", w.nonce)
			w.start(p)
		}
	}
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(250 * time.Millisecond) {
		for _, p := range w.procs {
			w.observe(p)
			w.step(p)
		}
		flights := w.flights
		w.flights = nil
		for _, f := range flights {
			w.arrive(f, true, true)
		}
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1e9, 0).UTC(), seed: seed, scale: 2}
	for i := range 3 {
		p := &proc{pod: fmt.Sprintf("pod-%d", i), skew: time.Duration(w.rng.IntN(61)-30) * time.Second}
		w.procs = append(w.procs, p)
		w.start(p)
	}
	return w
}

// TestRandomWorlds checks the protocol's promises in random worlds. The seed in a failure reproduces it.
func TestRandomWorlds(t *testing.T) {
	worlds, sleeps, wakes := 2000, 0, 0
	for seed := range uint64(worlds) {
		w := newWorld(t, seed)
		for range 1500 {
			w.disturb()
		}

		// Whoever connects is served, whatever came before.
		w.calm(0)
		w.connect(w.procs[seed%3])
		w.calm(60 * time.Second)
		for _, p := range w.procs {
			if p.waiting > 0 {
				w.fail("%s still holds %d connections after a minute of calm", p.pod, p.waiting)
			}
		}
		if w.scale == 0 {
			w.fail("a connection is open and the scale is 0")
		}

		// Once nobody is connected it sleeps, and what it had is remembered.
		for _, p := range w.procs {
			p.active, p.idle = 0, p.clock(w)
		}
		w.calm(5 * time.Minute)
		state := w.lease
		if state.Phase != Asleep || w.scale != 0 {
			w.fail("phase %s and scale %d after five minutes without use", state.Phase, w.scale)
		}
		if !w.hand && (state.Replicas != 2 || !state.Owed) {
			w.fail("asleep with replicas %d, owed %v; it had 2", state.Replicas, state.Owed)
		}
		sleeps, wakes = sleeps+w.sleeps, wakes+w.wakes
	}
	t.Logf("%d worlds, %d sleeps, %d wakes", worlds, sleeps, wakes)
	if sleeps < worlds || wakes < worlds/2 {
		t.Errorf("%d sleeps and %d wakes in %d worlds: the worlds test too little", sleeps, wakes, worlds)
	}
}
