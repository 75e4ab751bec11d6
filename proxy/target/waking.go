package target

import (
	"time"

	"go.uber.org/zap"

	"tpa.dev/tpa/proxy/contract"
)

// Stage is a part of a wake as a proxy sees it. Each begins where the one before it ended, the first one when the first
// connection began to be held.
type Stage int

const (
	// Decide ends when this proxy has the claim: the Lease says Awake.
	Decide Stage = iota
	// Scale ends when this proxy has written the scale; left out if another one did.
	Scale
	// Ready ends when this proxy has heard of the first backend that is ready.
	Ready
	// Notice ends when it begins to connect to a backend.
	Notice
	// Dial ends when it is connected.
	Dial
	stages
)

var stageNames = [stages]string{"decide", "scale", "ready", "notice", "dial"}

// String returns the name used for metrics, such as "decide".
func (s Stage) String() string { return stageNames[s] }

// waking is a wake that connections wait for here.
type waking struct {
	held     time.Time
	source   Source
	replicas int32 // as this process has written
	// began is the contract.Wake's At if this process began the wake; the zero time if not.
	began time.Time
	// ends is when each stage was over; the zero time if it was not, or not here.
	ends [stages]time.Time
	// over is when it was all over.
	over time.Time
}

// end notes when a stage was over, the first time. A nil waking notes nothing.
func (w *waking) end(s Stage, at time.Time) {
	if w != nil && w.ends[s].IsZero() {
		w.ends[s] = at
	}
}

// each calls f with every stage that was over. What was known before its stage began took no time.
func (w *waking) each(f func(s Stage, took time.Duration)) {
	last := w.held
	for s, end := range w.ends {
		if end.IsZero() {
			continue
		}
		f(Stage(s), max(0, end.Sub(last)))
		if end.After(last) {
			last = end
		}
	}
}

// outcome is how the wake ended, and for how long who came first had waited when the first backend was ready, or nobody waited
// any more.
func (w *waking) outcome() (contract.WakeOutcome, time.Duration) {
	at, outcome := w.over, contract.WakeTimedOut
	for _, s := range []Stage{Dial, Ready} {
		if end := w.ends[s]; !end.IsZero() {
			at, outcome = end, contract.WakeReady
		}
	}
	return outcome, max(0, at.Sub(w.held))
}

// Dialed tells that a held connection has just been connected to a backend, by an attempt that took so long. The first
// one ends a wake.
func (k *Keeper) Dialed(took time.Duration) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	if k.waking == nil {
		return
	}
	now := time.Now()
	k.waking.end(Notice, now.Add(-took))
	k.waking.end(Dial, now)
	k.woke()
}

// changed is the gate's. A wake that nobody waits for any more is over.
func (k *Keeper) changed() {
	if k.waking != nil && k.gate.active == 0 && k.gate.waiting == 0 {
		k.woke()
	}
	k.poke()
}

// woke has Run report the wake, so that no connection waits for a log to be written; gate.mu is held.
func (k *Keeper) woke() {
	k.waking.over = time.Now()
	if !k.waking.began.IsZero() {
		k.tellLater(k.waking)
	}
	k.woken = append(k.woken, k.waking)
	k.waking = nil
	k.poke()
}

// report reports the wakes that have ended.
func (k *Keeper) report() {
	k.gate.mu.Lock()
	woken := k.woken
	k.woken = nil
	k.gate.mu.Unlock()
	for _, w := range woken {
		fields := []zap.Field{zap.Time("held", w.held), zap.Stringer("for", w.source.Client.Addr()), zap.Int32("replicas", w.replicas)}
		w.each(func(s Stage, took time.Duration) {
			fields = append(fields, zap.Duration(s.String(), took))
			if k.config.OnStage != nil {
				k.config.OnStage(s, took)
			}
		})
		if !w.began.IsZero() {
			k.wokeUp(w)
		}
		if k.config.OnWoken != nil {
			k.config.OnWoken(w.outcome())
		}
		text := "target: woken"
		if w.ends[Dial].IsZero() {
			text = "target: nobody waits any more for it to wake"
		}
		k.config.Log.Info(text, fields...)
	}
}
