package target

import (
	"time"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// A target that is paused is kept as one is that has an open connection: each proxy has a claim, and so nobody puts it to sleep, one
// of an earlier version included. What is at 0 when that begins is scaled up, and so it is again when a proxy starts; who scales it to 0
// by hand meanwhile is let be, as while a connection is open.
//
// A target that is only observed never sleeps, and otherwise all is as if it did: proxies give their claims up, and win them back.
// So the Lease tells when it would be asleep, and nothing is written for that.

// paused reports whether the target is kept awake because of its mode; gate.mu is held. What does not exist is not: to keep it would
// be to look for it again and again.
func (k *Keeper) paused() bool {
	return k.use.Mode == contract.ModePaused && (k.ready > 0 || k.absence.since.IsZero())
}

// rouses reports whether the target is woken for its mode and for nobody who waits; gate.mu is held.
func (k *Keeper) rouses() bool { return k.gate.waiting == 0 && k.paused() }

// observes reports whether TPA does everything for the target but the sleep itself.
func (u Use) observes() bool { return u.Mode == contract.ModeObserve && u.Blocked == "" }

// HeardOf is when a sleep was requested, by the clock of who hears of it. A requester whose clock is ahead has not seen what comes
// until then, and whose clock is too far ahead is not understood: the zero time. One whose clock is behind may ask in vain: when in doubt, stay
// awake.
func HeardOf(requested, now time.Time) time.Time {
	switch {
	case requested.After(now.Add(maxSkew)):
		return time.Time{}
	case requested.After(now):
		return now
	}
	return requested
}

// nap is a sleep that would be, or would have been, in the state with a Seq. It began for good, as a sleep does: the same rest, which is
// since the last use, has no other nap, though by a longer idle time-out it would begin later.
type nap struct {
	seq               int64
	rest, from, until time.Time
}

// restOf is when a target was last used that nobody uses; the zero time if somebody does, or it is not awake.
func restOf(s sleep.State) time.Time {
	if s.Due(0).IsZero() {
		return time.Time{}
	}
	return s.LastUse()
}

// napIn is that of a state; the zero nap if there is none. gate.mu is held.
func (k *Keeper) napIn(s sleep.State) nap {
	if !k.use.observes() {
		if k.nap.seq == s.Seq {
			return k.nap
		}
		return nap{}
	}
	n := nap{seq: s.Seq, rest: restOf(s), from: s.Due(k.use.IdleTimeout), until: now()}
	if k.nap.rest.Equal(n.rest) {
		n.from = k.nap.from
	}
	if n.from.IsZero() || !n.from.Before(n.until) {
		return nap{}
	}
	return n
}

// remember has a nap that has begun go on as it began, whatever is to change; gate.mu is held.
func (k *Keeper) remember() {
	if k.use.observes() {
		k.nap = k.napIn(k.last.state)
	}
}

// napped returns a history with a nap; gate.mu is held. The replicas are the backends that are ready now.
func (k *Keeper) napped(h contract.History, n nap) contract.History {
	if n == (nap{}) {
		return h
	}
	return h.WouldHaveSlept(n.until.Sub(n.from), int32(k.ready), k.pod)
}

// ended reports whether a nap does not go on in the state that follows; gate.mu is held.
func (k *Keeper) ended(n nap, next sleep.State) bool {
	return !k.use.observes() || !restOf(next).Equal(n.rest)
}

// Observed reports whether TPA only observes the target, and since when it would be asleep; the zero time if it would be awake.
func (k *Keeper) Observed() (observed bool, asleep time.Time) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	if !k.use.observes() {
		return k.use.Mode == contract.ModeObserve, time.Time{}
	}
	return true, k.napIn(k.last.state).from
}
