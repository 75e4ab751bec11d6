package sleep

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strconv"
	"time"
)

// key stands for all worlds that have the same future. It is the hash of an encoding in which versions are only the
// present one or another, times are relative to the present, what cannot matter any more is left out, and processes have no
// names: of all orders of them, the one counts whose encoding is the least. Names matter to the protocol in one place: of
// two proxies that were last used at the same instant, the greater one may sleep half a second earlier.
type key [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func (w *world) key() key {
	var least []byte
	for _, order := range orders[len(w.procs)] {
		e := encoder{w: w, order: order, b: make([]byte, 0, 512)}
		e.world()
		if least == nil || bytes.Compare(e.b, least) < 0 {
			least = e.b
		}
	}
	return key{maphash.Bytes(seeds[0], least), maphash.Bytes(seeds[1], least)}
}

// orders are those of so many processes.
var orders = [][][]int{
	1: {{0}},
	2: {{0, 1}, {1, 0}},
	3: {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}},
}

type encoder struct {
	w     *world
	order []int
	b     []byte
	// gone are pods and processes that are no more, versions the scale's older ones, by when they were met first.
	gone, versions []string
}

func (e *encoder) int(ns ...int) {
	for _, n := range ns {
		e.b = binary.AppendVarint(e.b, int64(n))
	}
}

func (e *encoder) bits(bits ...bool) {
	n := 1
	for _, b := range bits {
		n <<= 1
		if b {
			n |= 1
		}
	}
	e.int(n)
}

// past is so long ago, by whatever clock, that the protocol's times cannot tell it from longer ago.
const past = -(idleTimeout + courtesy + 31*time.Second)

func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.int(1 << 20)
		return
	}
	e.int(int(max(past, t.Sub(e.w.now)) / (100 * time.Millisecond)))
}

// until encodes a time of which only matters how far away it is, by a process's clock.
func (e *encoder) until(p *proc, t time.Time) {
	e.int(int(max(0, t.Sub(e.w.clock(p))) / (100 * time.Millisecond)))
}

// name encodes a pod or a process: which of those that are, or which other.
func (e *encoder) name(name string) {
	for place, i := range e.order {
		switch p := &e.w.procs[i]; {
		case p.alive && name == p.pod:
			e.int(place)
			return
		case p.alive && name == p.machine.by:
			e.int(8 + place)
			return
		}
	}
	e.int(16 + place(&e.gone, name))
}

// version encodes a resourceVersion of the scale: the present one, or which other.
func (e *encoder) version(v string) {
	if v == strconv.Itoa(e.w.scaleRV) {
		e.int(-1)
		return
	}
	e.int(place(&e.versions, v))
}

// place is where a name is in a list, to which it is added if it is new.
func place(list *[]string, name string) int {
	i := slices.Index(*list, name)
	if i < 0 {
		i = len(*list)
		*list = append(*list, name)
	}
	return i
}

// phase encodes the phase and when it began: for what is idle since then, and for who has missed that it ended.
func (e *encoder) phase(s State) {
	e.b = append(e.b, s.Phase[:min(3, len(s.Phase))]...)
	e.bits(s.Since.Equal(e.w.lease.Since))
	if s.Phase == Awake {
		e.time(s.Since)
	}
}

func (e *encoder) state(s State) {
	e.phase(s)
	e.name(s.By)
	e.bits(s.TakenOver, s.Owed)
	e.int(int(s.Replicas), s.Reverted)
	if s.Phase == Sleeping {
		e.version(s.ScaleVersion)
	}
	e.time(s.Used)
	e.time(s.NotBefore)
	e.int(len(s.Claims))
	for place, i := range e.order {
		if c, ok := s.Claims[e.w.procs[i].pod]; ok && e.w.procs[i].alive {
			e.int(place)
			e.time(c.IdleSince)
		}
	}
	var gone []string
	for holder := range s.Claims {
		if !e.w.exists(holder) {
			gone = append(gone, holder)
		}
	}
	slices.Sort(gone)
	for _, holder := range gone {
		e.name(holder)
		e.time(s.Claims[holder].IdleSince)
	}
}

func (e *encoder) scale(s Scale) {
	e.int(int(s.Replicas))
	e.version(s.ResourceVersion)
}

func (e *encoder) world() {
	w := e.w
	e.int(w.left.connects, w.left.faults, w.left.hands, w.sleeps, int(w.scale), int(w.pods))
	e.int(len(w.left.kinds), int(w.denied), w.reverted)
	for _, kinds := range [...][]eventKind{w.left.kinds, w.left.edits} {
		for _, kind := range kinds {
			e.int(int(kind))
		}
	}
	e.bits(w.hand, w.ours, w.theirs, w.down, w.leaseRV == 0)
	e.time(w.requested)
	e.state(w.lease)
	e.int(len(w.flights))
	for _, i := range e.order {
		e.proc(&w.procs[i])
		for _, f := range w.flights {
			if f.from == i {
				e.flight(f)
			}
		}
	}
}

func (e *encoder) proc(p *proc) {
	e.bits(p.alive, p.open, p.paused, p.steward, p.holding, p.leaving, p.blocked, p.kept, p.unreached, p.bold, p.dared)
	if !p.alive {
		return
	}
	e.int(p.active, p.waiting, int(p.skew/time.Second))
	e.bits(p.seenRV == e.w.leaseRV, p.call.id != 0)
	claim, have := p.machine.state.Claims[p.pod]
	if p.active == 0 && (!p.machine.known || p.call.id != 0 || have && claim.Active()) {
		e.time(p.idle)
	}
	e.machine(p, &p.machine)
}

func (e *encoder) machine(p *proc, m *Machine) {
	sleeping := m.state.Phase == Sleeping
	e.bits(m.exists, m.known, m.doubt != nil, m.started, m.lost, m.unreadable, m.unreadable && m.ready > 0,
		m.crossed && p.call.action.Kind == ReadScale, m.ensure && m.state.Phase == Awake,
		sleeping && m.sent, sleeping && m.stamped, sleeping && m.fenced)
	if sleeping {
		e.until(p, m.sleepingSeen.Add(TakeOver))
	}
	if m.sleeps(m.state) {
		e.until(p, m.again)
		if m.sent {
			e.until(p, m.doubtFrom.Add(requestLife))
		}
	}
	e.bits(p.lost.After(m.lostAt))
	if p.seenRV != e.w.leaseRV {
		e.state(m.state)
	}
	e.bits(m.scale == nil)
	if m.scale != nil {
		e.scale(*m.scale)
	}
	e.until(p, m.checked.Add(Recheck))
	e.until(p, m.returned.Add(idleTimeout))
	for _, t := range [...]time.Time{m.retryAt, m.sleepAfter, m.graceTo} {
		e.until(p, t)
	}
	e.int(min(m.failures, 6), min(m.sleepFailures, 7))
}

func (e *encoder) flight(f flight) {
	a := f.action
	awaited := e.w.awaited(f)
	e.int(int(a.Kind))
	e.bits(awaited, f.answer == nil, a.GivesUp, f.plain, f.bound)
	if f.answer != nil {
		e.int(int(f.answer.Outcome))
		e.scale(f.answer.Scale)
		for _, h := range f.answer.Missing {
			e.name(h)
		}
	}
	switch a.Kind {
	case Swap:
		e.bits(f.leaseRV == e.w.leaseRV)
		if f.leaseRV == e.w.leaseRV {
			e.state(a.State)
		} else {
			// Done looks at the phase.
			e.phase(a.State)
		}
	case WriteScale:
		e.scale(a.Scale)
		e.int(int(a.Replicas))
		if a.Replicas == 0 && f.answer == nil && !e.w.late(f) {
			e.until(&e.w.procs[f.from], e.w.clock(&e.w.procs[f.from]).Add(f.sent.Add(requestLife).Sub(e.w.now)))
		}
	case Verify:
		e.int(len(a.Holders))
		for _, h := range a.Holders {
			e.name(h)
		}
	}
}
