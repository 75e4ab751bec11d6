package sleep

import (
	"flag"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

var seedFlag = flag.Uint64("seed", 0, "play the random world of this seed only, and tell what happens in it; 0: many worlds")

// disturb lets one random thing happen.
func disturb(w *world, rng *rand.Rand) {
	i := rng.IntN(len(w.procs))
	p := &w.procs[i]
	var flight int
	if len(w.flights) > 0 {
		flight = rng.IntN(len(w.flights))
	}
	free := p.runs() && p.call.id == 0
	// Everybody notices an outage, and those who dialed meanwhile make up for the claim before it is forgotten.
	outage := w.down || slices.ContainsFunc(w.procs, func(p proc) bool { return p.dared })
	switch k := rng.IntN(108); {
	case k >= 100:
		interfere(w, rng, i, flight)
	case k < 33 && free && (!p.steward || p.holding):
		w.happen(event{kind: steps, on: i})
	case k < 65 && k >= 33 && len(w.flights) > 0:
		f := w.flights[flight]
		if w.down && f.answer == nil {
			return
		}
		if sender := w.procs[f.from]; sender.stalled || f.answer != nil && sender.paused {
			return
		}
		if f.answer != nil {
			w.happen(event{kind: answered, on: flight})
			return
		}
		w.happen(event{kind: arrives, on: flight})
		if flight < len(w.flights) && w.flights[flight].id == f.id && !w.procs[f.from].paused && rng.IntN(3) > 0 {
			w.happen(event{kind: answered, on: flight})
		}
	case k < 68 && k >= 65 && p.runs() && p.call.id != 0:
		w.happen(event{kind: givesUp, on: i})
	case k < 74 && k >= 68 && p.runs() && !w.down && (!p.steward || p.holding):
		w.happen(event{kind: watches, on: i})
	case k < 77 && k >= 74 && p.runs() && !p.steward:
		w.happen(event{kind: connects, on: i})
	case k < 84 && k >= 77 && p.runs() && p.active > 0:
		w.happen(event{kind: disconnects, on: i})
	case k == 84 && p.alive && !outage:
		switch {
		case rng.IntN(2) == 0:
			p.stalled = !p.stalled
		case p.paused:
			w.happen(event{kind: resumes, on: i})
		default:
			w.happen(event{kind: pauses, on: i})
		}
	case k == 85:
		switch {
		case !p.alive:
			w.happen(event{kind: comes, on: i})
		case rng.IntN(2) == 0 || p.steward:
			w.happen(event{kind: restarts, on: i})
		default:
			w.happen(event{kind: dies, on: i})
		}
	case k == 86:
		w.happen(event{kind: bumps})
	case k == 87 && rng.IntN(5) == 0:
		if n := rng.IntN(3); int32(n) != w.scale {
			w.happen(event{kind: scales, n: n})
		}
	case k < 92 && k >= 88:
		w.happen(event{kind: follows})
	case k >= 92 && (w.down || !outage):
		w.happen(event{kind: passes, n: 100 * rng.IntN(60)})
	}
}

// interfere lets one of the rarer things happen.
func interfere(w *world, rng *rand.Rand, i, flight int) {
	p := &w.procs[i]
	flights := len(w.flights) > 0
	free := p.runs() && p.call.id == 0
	switch rng.IntN(17) {
	case 0, 1:
		if flights && !w.down && w.flights[flight].answer == nil && !w.late(w.flights[flight]) {
			w.happen(event{kind: repeats, on: flight})
		}
	case 2:
		if flights && !w.awaited(w.flights[flight]) {
			w.happen(event{kind: vanishes, on: flight})
		}
	case 3:
		if rng.IntN(4) == 0 {
			w.happen(event{kind: denies, n: 1 + rng.IntN(2)})
		} else {
			w.happen(event{kind: allows})
		}
	case 4, 5:
		if rng.IntN(2) == 0 && w.canFail() && !w.down && !slices.ContainsFunc(w.procs, func(p proc) bool { return p.stalled }) {
			w.happen(event{kind: fails})
		} else if w.down {
			w.happen(event{kind: returns})
		}
	case 6, 7, 8:
		if w.down && p.waiting > 0 && !p.open && w.mayDare(p) {
			w.happen(event{kind: dares, on: i})
		}
	case 9:
		if p.runs() && !p.steward && !p.leaving {
			w.happen(event{kind: leaves, on: i})
		}
	case 10, 11:
		if p.leaving && w.canExit(p) {
			w.happen(event{kind: exits, on: i})
		}
	case 12:
		if rng.IntN(3) == 0 {
			w.happen(event{kind: asks})
		} else if p.runs() && !p.steward {
			w.happen(event{kind: [...]eventKind{blocks, unblocks}[rng.IntN(2)], on: i})
		}
	case 16:
		if p.runs() && !p.steward {
			w.happen(event{kind: [...]eventKind{keeps, unkeeps}[rng.IntN(2)], on: i})
		}
	case 13:
		if p.steward && free && !w.down && w.canHold() {
			w.happen(event{kind: holds, on: i})
		}
	case 14:
		if p.steward && !w.down && w.canRelease(p) {
			w.happen(event{kind: releases, on: i})
		}
	case 15:
		if p.steward && free && !w.down && w.leaseRV > 0 && !p.holding {
			w.happen(event{kind: settles, on: i})
		}
	}
}

// TestRandomWorlds checks the protocol's promises in random worlds, far beyond the bounds of the exploration. The seed in a
// failure reproduces it: -args -seed=.
func TestRandomWorlds(t *testing.T) {
	worlds, sleeps, wakes := 2000, 0, 0
	if os.Getenv("TPA_MODEL") != "" {
		worlds = 100_000
	}
	if *seedFlag > 0 {
		var trace []string
		w := randomWorld(*seedFlag, &trace)
		for _, line := range trace {
			t.Log(line)
		}
		if w.broken != nil {
			t.Fatal(w.broken)
		}
		return
	}
	for seed := uint64(1); seed <= uint64(worlds); seed++ {
		w := randomWorld(seed, nil)
		if w.broken != nil {
			var trace []string
			randomWorld(seed, &trace)
			for _, line := range trace[max(0, len(trace)-80):] {
				t.Log(line)
			}
			t.Fatalf("seed %d: %v", seed, w.broken)
		}
		sleeps, wakes = sleeps+w.sleeps, wakes+w.wakes
	}
	t.Logf("%d worlds, %d sleeps, %d wakes", worlds, sleeps, wakes)
	if sleeps < worlds || wakes < worlds/2 {
		t.Errorf("%d sleeps and %d wakes in %d worlds: the worlds test too little", sleeps, wakes, worlds)
	}
}

// randomWorld plays the world of a seed to its end, or until it breaks. Its events go into the trace, if that is wanted.
func randomWorld(seed uint64, trace *[]string) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	skew := func() time.Duration { return time.Duration(rng.IntN(61)-30) * time.Second }
	w := newWorld(skew(), skew(), skew())
	if rng.IntN(2) == 0 {
		w.withController()
	}
	if trace != nil {
		w.log = logTo(trace)
	}
	for i := 0; i < 1500 && w.broken == nil; i++ {
		disturb(w, rng)
	}
	w.calm(nil)
	return w
}
