package sleep

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// budget bounds what may still happen in a world.
type budget struct {
	connects, faults, hands, sleeps int
	kinds                           []eventKind // of faults, each of them once; nil: any but outage and denial
	edits                           []eventKind // of what else others do: each of these once
}

func (b budget) allows(fault eventKind) bool {
	return b.faults > 0 && (b.kinds == nil && fault != fails && fault != denies || slices.Contains(b.kinds, fault))
}

// exploration visits every state that its worlds can reach, breadth first, so that a broken invariant is found on a
// shortest way.
type exploration struct {
	left  budget
	skews [][]time.Duration
	// from says where the worlds begin: when the first time is to pass, unless it is another place.
	from beginning
	// controlled says that the controller is there, too.
	controlled bool

	visited map[key]struct{}
	rests   map[key]struct{}
	answers map[key]struct{}
	nodes   []node
	depth   int
}

// node is a state by how it was first reached. Those without a parent are the exploration's first worlds.
type node struct {
	parent int32
	e      event
}

type beginning int

const (
	unused   beginning = iota // all have read a Lease that nobody has a claim in
	nothing                   // there is no Lease
	zeroSent                  // a proxy has asked to write 0
)

type pending struct {
	w    *world
	node int32
}

// run returns the world that broke an invariant, and how it came to that; nil if none did.
func (x *exploration) run() (*world, []string) {
	x.visited, x.rests, x.answers = map[key]struct{}{}, map[key]struct{}{}, map[key]struct{}{}
	var layer []pending
	for i, skews := range x.skews {
		w := x.first(skews)
		x.nodes = append(x.nodes, node{parent: int32(-1 - i)})
		x.visited[w.key()] = struct{}{}
		layer = append(layer, pending{w, int32(i)})
	}
	for ; len(layer) > 0; x.depth++ {
		var next []pending
		for i, from := range layer {
			layer[i].w = nil
			for _, e := range from.w.events() {
				w := from.w.clone()
				w.happen(e)
				k := w.key()
				if _, ok := x.visited[k]; ok {
					continue
				}
				x.visited[k] = struct{}{}
				x.nodes = append(x.nodes, node{from.node, e})
				n := int32(len(x.nodes) - 1)
				if w.broken != nil {
					return w, x.trace(n, nil)
				}
				for _, end := range x.ends(w) {
					calm := w.clone()
					if end(calm); calm.broken != nil {
						return calm, x.trace(n, end)
					}
				}
				if w.sleeps <= x.left.sleeps {
					next = append(next, pending{w, n})
				}
			}
		}
		layer = next
	}
	return nil, nil
}

// ends are what must go well from a world on.
func (x *exploration) ends(w *world) []func(*world) {
	ends := []func(*world){func(w *world) { w.calm(x.rests) }}
	if w.lease.Phase == Sleeping {
		ends = append(ends,
			func(w *world) { w.answers(zeroDenied, x.answers) },
			func(w *world) { w.answers(scaleDenied, x.answers) })
	}
	return ends
}

// first is a world to begin with.
func (x *exploration) first(skews []time.Duration) *world {
	w := newWorld(skews...)
	if x.controlled {
		w.withController()
	}
	for {
		e, _ := w.nextInCalm()
		zero := len(w.flights) > 0 && w.flights[0].action.Kind == WriteScale
		if x.from == nothing || x.from == unused && e.kind == passes || zero {
			break
		}
		w.happen(e)
	}
	w.left, w.prompt = x.left, true
	return w
}

// trace tells how a state was reached, and what follows in calm.
func (x *exploration) trace(n int32, end func(*world)) []string {
	var way []event
	for ; x.nodes[n].parent >= 0; n = x.nodes[n].parent {
		way = append(way, x.nodes[n].e)
	}
	skews := x.skews[-1-x.nodes[n].parent]
	w := x.first(skews)
	trace := []string{fmt.Sprintf("clocks off by %v", skews)}
	w.log = logTo(&trace)
	for i := len(way) - 1; i >= 0; i-- {
		w.happen(way[i])
	}
	if end != nil {
		w.say("and in calm:")
		clear(x.rests)
		clear(x.answers)
		end(w)
	}
	return trace
}

func logTo(trace *[]string) func(string, ...any) {
	return func(format string, args ...any) { *trace = append(*trace, fmt.Sprintf(format, args...)) }
}

// events are all that can happen now.
func (w *world) events() []event {
	var all []event
	add := func(kind eventKind, on int) { all = append(all, event{kind: kind, on: on}) }
	fault := func(kind eventKind, on int) {
		if w.left.allows(kind) {
			add(kind, on)
		}
	}
	edit := func(kind eventKind, on int) {
		if slices.Contains(w.left.edits, kind) {
			add(kind, on)
		}
	}
	for i, f := range w.flights {
		switch {
		case f.answer == nil:
			if !w.awaited(f) {
				add(vanishes, i)
			}
			if w.down {
				break
			}
			add(arrives, i)
			if f.action.Kind == ReadScale || f.action.Kind == WriteScale {
				fault(refused, i)
			}
			if f.action.Kind == Swap || f.action.Kind == WriteScale {
				fault(repeats, i)
			}
		case w.procs[f.from].runs():
			add(answered, i)
		}
	}
	for i := range w.procs {
		p := &w.procs[i]
		switch {
		case !p.alive:
			add(comes, i)
			continue
		case p.paused:
			add(resumes, i)
			fault(restarts, i)
			fault(dies, i)
			continue
		}
		switch {
		case p.call.id != 0 && w.down:
			add(givesUp, i)
		case p.call.id != 0:
			fault(givesUp, i)
		case !p.steward || p.holding:
			add(steps, i)
		}
		if w.behind(p) && !w.down {
			add(watches, i)
		}
		fault(pauses, i)
		fault(restarts, i)
		if p.steward {
			if p.call.id == 0 && w.canHold() {
				edit(holds, i)
			}
			if p.call.id == 0 && w.leaseRV > 0 {
				edit(settles, i)
			}
			if w.canRelease(p) {
				add(releases, i)
			}
			continue
		}
		fault(dies, i)
		if w.left.connects > 0 {
			add(connects, i)
		}
		if p.active > 0 {
			add(disconnects, i)
		}
		if w.down && p.waiting > 0 && !p.open && w.mayDare(p) {
			add(dares, i)
		}
		if !p.leaving {
			edit(leaves, i)
		} else if w.canExit(p) {
			add(exits, i)
		}
		if !p.blocked {
			edit(blocks, i)
		} else {
			add(unblocks, i)
		}
		if !p.kept {
			edit(keeps, i)
		} else {
			add(unkeeps, i)
		}
	}
	fault(bumps, 0)
	edit(asks, 0)
	switch {
	case w.down:
		add(returns, 0)
	case w.canFail():
		fault(fails, 0)
	}
	if w.denied != nothingDenied {
		add(allows, 0)
	} else if w.left.allows(denies) {
		all = append(all, event{kind: denies, n: int(zeroDenied)}, event{kind: denies, n: int(scaleDenied)})
	}
	if w.left.hands > 0 {
		for _, n := range []int{0, 3} {
			if int32(n) != w.scale {
				all = append(all, event{kind: scales, n: n})
			}
		}
	}
	if w.pods != w.scale {
		add(follows, 0)
	}
	if d := w.nextTime(); d > 0 && !w.down { // an outage may as well be short: what takes time is to try again in vain
		e := event{kind: passes, n: int(d / time.Millisecond)}
		if !w.settled() {
			e.kind = lags
		}
		if e.kind == passes || w.left.allows(lags) {
			all = append(all, e)
		}
	}
	return all
}

// canFail reports whether an outage of the API server may begin: everybody has heard of the Lease as it is. One who has not
// dials without a claim, and a sleep that it has missed may be about to end its backends.
func (w *world) canFail() bool {
	return w.leaseRV > 0 && !slices.ContainsFunc(w.procs, func(p proc) bool { return p.paused || p.alive && p.seenRV != w.leaseRV && !p.steward })
}

// canHold reports whether the controller would claim the target: there is a Lease, and no 0 by a person.
func (w *world) canHold() bool {
	return w.leaseRV > 0 && (w.scale > 0 || w.lease.Phase == Sleeping || w.lease.Owed)
}

// canRelease reports whether the controller has a claim and nothing else to do.
func (w *world) canRelease(p *proc) bool {
	_, held := w.lease.Claims[controller]
	return held && p.runs() && !p.holding && p.call.id == 0
}

// canExit reports whether a process that leaves has done what it could.
func (w *world) canExit(p *proc) bool {
	return p.runs() && p.call.id == 0 && p.active+p.waiting == 0 && w.intent(p).Kind == Wait
}

// settled reports whether everything has arrived that somebody waits for.
func (w *world) settled() bool {
	for i := range w.procs {
		if p := &w.procs[i]; p.runs() && p.call.id != 0 || w.behind(p) {
			return false
		}
	}
	return w.pods == w.scale
}

func (x *exploration) check(t *testing.T) {
	t.Parallel()
	began := time.Now()
	w, trace := x.run()
	t.Logf("%d states, %d more in calm, %d events deep, %v", len(x.visited), len(x.rests)+len(x.answers), x.depth, time.Since(began).Round(time.Millisecond))
	if w == nil {
		return
	}
	for _, line := range trace {
		t.Log(line)
	}
	t.Fatal(w.broken)
}
