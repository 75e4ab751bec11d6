package sleep

import (
	"math/rand/v2"
	"testing"
	"time"
)

// disturb lets one random thing happen.
func disturb(w *world, rng *rand.Rand) {
	i := rng.IntN(len(w.procs))
	p := &w.procs[i]
	var flight int
	if len(w.flights) > 0 {
		flight = rng.IntN(len(w.flights))
	}
	free := p.runs() && p.call.id == 0
	switch k := rng.IntN(100); {
	case k < 33 && free:
		w.happen(event{kind: steps, on: i})
	case k < 65 && k >= 33 && len(w.flights) > 0:
		f := w.flights[flight]
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
	case k < 74 && k >= 68 && p.runs():
		w.happen(event{kind: watches, on: i})
	case k < 77 && k >= 74 && p.runs():
		w.happen(event{kind: connects, on: i})
	case k < 84 && k >= 77 && p.runs() && p.active > 0:
		w.happen(event{kind: disconnects, on: i})
	case k == 84 && p.alive:
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
		case rng.IntN(2) == 0:
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
	case k >= 92:
		w.happen(event{kind: passes, n: 100 * rng.IntN(60)})
	}
}

// TestRandomWorlds checks the protocol's promises in random worlds, far beyond the bounds of the exploration. The seed in a
// failure reproduces it.
func TestRandomWorlds(t *testing.T) {
	worlds, sleeps, wakes := 2000, 0, 0
	for seed := range uint64(worlds) {
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
	if trace != nil {
		w.log = logTo(trace)
	}
	for i := 0; i < 1500 && w.broken == nil; i++ {
		disturb(w, rng)
	}
	w.calm(nil)
	return w
}
