package sleep

import "fmt"

// violation is an invariant that does not hold.
type violation struct{ name, what string }

func (v violation) String() string { return v.name + ": " + v.what }

func broken(name, format string, args ...any) *violation {
	return &violation{name, fmt.Sprintf(format, args...)}
}

// The promises about a write of the scale, just before it takes effect.

func beforeScale(w *world, replicas int32) *violation {
	if replicas == 0 && w.scale > 0 {
		return first(w, noZeroInUse, zeroOnlyWhileSleeping, leavesContested)
	}
	if replicas > 0 {
		return first(w, zeroByHandStays)
	}
	return nil
}

// beforeSwap: a Sleeping ends as Awake only when no write of 0 for it can arrive any more (rule 4). Where the time that a
// request lives at most is the reason, that is taken for granted, of requests that old.
func beforeSwap(w *world, f flight) *violation {
	if w.lease.Phase != Sleeping || f.action.State.Phase != Awake {
		return nil
	}
	for i, zero := range w.flights {
		if zero.action.Kind != WriteScale || zero.action.Replicas != 0 || zero.answer != nil || w.late(zero) {
			continue
		}
		if age := w.now.Sub(zero.sent); !f.bound || age < requestLife {
			return broken("no zero outlives", "the Sleeping ends as Awake while a 0 is on its way since %v", age)
		}
		w.flights[i].answer = &Result{Outcome: Refused}
	}
	return nil
}

// leavesContested: what others have scaled up again and again is left to them.
func leavesContested(w *world) *violation {
	if w.reverted >= MaxReverted {
		return broken("leaves contested", "0 replicas written after others have ended %d sleeps in a row", w.reverted)
	}
	return nil
}

// noZeroInUse: 0 replicas are never written while a claim is active, or a proxy has a connection.
func noZeroInUse(w *world) *violation {
	for holder, c := range w.lease.Claims {
		if c.Active() {
			return broken("no zero in use", "0 replicas written while the claim of %s is active", holder)
		}
	}
	for _, p := range w.procs {
		if p.active > 0 {
			return broken("no zero in use", "0 replicas written while %s has %d connections", p.pod, p.active)
		}
	}
	return nil
}

// zeroOnlyWhileSleeping: no write of 0 outlives the Sleeping that it belongs to (rule 4).
func zeroOnlyWhileSleeping(w *world) *violation {
	if w.lease.Phase != Sleeping {
		return broken("zero only while Sleeping", "0 replicas written in phase %s", w.lease.Phase)
	}
	return nil
}

// zeroByHandStays: a person's 0 stays until somebody comes.
func zeroByHandStays(w *world) *violation {
	if w.theirs {
		return broken("zero by hand stays", "scaled up though nobody has come since")
	}
	return nil
}

// always holds in every state.
func always(w *world) *violation { return first(w, dialsWithClaim, debtIsKnown) }

// dialsWithClaim: a gate is open, and a connection inside, only while the target is awake and the proxy's claim is active
// (rules 1 and 2), by the Lease as it is and not as the proxy knows it; but for those that dialed without one while the API
// server was away.
func dialsWithClaim(w *world) *violation {
	for _, p := range w.procs {
		if p.alive && !p.dared && (p.open || p.active > 0) && !w.lease.holds(p.pod) {
			return broken("dials with a claim", "%s is open (%v) with %d connections inside and has no claim", p.pod, p.open, p.active)
		}
	}
	return nil
}

// debtIsKnown: while the scale is 0 by TPA, the Lease says that TPA owes the replicas, and how many.
func debtIsKnown(w *world) *violation {
	if w.ours && (!w.lease.Owed || !w.hand && w.lease.Replicas != 2) {
		return broken("debt is known", "the scale is 0 by TPA, and it owes %v, %d replicas", w.lease.Owed, w.lease.Replicas)
	}
	return nil
}

// atRest holds when nothing is left to happen: nobody waits, and the target is as its use asks (no state that only a person
// can leave).
func atRest(w *world) *violation {
	in := false
	for _, p := range w.procs {
		if p.waiting > 0 {
			return broken("held are answered", "%s holds %d connections for ever", p.pod, p.waiting)
		}
		in = in || p.active > 0
	}
	if _, held := w.lease.Claims[controller]; held {
		return broken("rests as used", "the controller holds the target for ever")
	}
	switch {
	case !in && w.lease.Contested() && w.lease.Phase == Awake:
	case in && (w.lease.Phase != Awake || w.scale == 0 || w.pods == 0):
		return broken("rests as used", "a connection is inside, the phase is %s for ever, with %d replicas and %d pods", w.lease.Phase, w.scale, w.pods)
	case !in && (w.lease.Phase != Asleep || w.scale != 0):
		return broken("rests as used", "nobody is inside, the phase is %s for ever, with %d replicas", w.lease.Phase, w.scale)
	}
	return nil
}

func first(w *world, invariants ...func(*world) *violation) *violation {
	for _, holds := range invariants {
		if v := holds(w); v != nil {
			return v
		}
	}
	return nil
}
