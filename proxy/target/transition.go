package target

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// Change is what a process has done to a target.
type Change int

const (
	// FellAsleep: it was put to sleep.
	FellAsleep Change = iota
	// Waking: it is being woken.
	Waking
	// Woken: a backend is ready after that.
	Woken
)

// Transition tells of a Change, to whom it may concern.
type Transition struct {
	Change Change
	// UID is the workload's; empty if its scale could not be read.
	UID types.UID
	// Replicas is how many the target had before it fell asleep, or is woken to.
	Replicas int32
	// Why, and IdleTimeout, are why it fell asleep.
	Why         SleepReason
	IdleTimeout time.Duration
	// Source is whose connection has woken it; Paused says that nobody's has, but that it is to be awake.
	Source Source
	Paused bool
	// Took is how long that took.
	Took time.Duration
}

// passed notes what a write of the Lease has brought about; Run's own.
func (k *Keeper) passed(was, is sleep.State) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	switch {
	case was.Phase == sleep.Sleeping && is.Phase == sleep.Asleep:
		k.transitions = append(k.transitions, Transition{
			Change: FellAsleep, Replicas: is.Replicas, Why: k.falls, IdleTimeout: k.use.IdleTimeout,
		})
	case wakesUp(was, is, k.config.Pod) && k.waking == nil && k.rouses():
		k.transitions = append(k.transitions, Transition{Change: Waking, Replicas: is.WakeTo(k.use.WakeReplicas), Paused: true})
	case wakesUp(was, is, k.config.Pod) && k.waking != nil:
		k.transitions = append(k.transitions, Transition{
			Change: Waking, Replicas: is.WakeTo(k.use.WakeReplicas), Source: k.waking.source,
		})
	}
}

// wokeUp notes that a wake has ended which this process began; Run's own.
func (k *Keeper) wokeUp(w *waking) {
	if outcome, took := w.outcome(); outcome == contract.WakeReady {
		k.transitions = append(k.transitions, Transition{Change: Woken, Replicas: w.replicas, Source: w.source, Took: took})
	}
}

// tellTransitions passes on what has been noted. It is called when there is nothing to do, so that nobody waits for it; by then the
// workload's UID is known, too.
func (k *Keeper) tellTransitions() {
	for _, t := range k.transitions {
		t.UID = k.uid
		if k.config.OnTransition != nil {
			k.config.OnTransition(t)
		}
	}
	k.transitions = k.transitions[:0]
}
