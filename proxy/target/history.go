package target

import (
	"context"
	"net/netip"
	"time"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// outcomeAfter is how long after a wake its outcome is written to the Lease, if no other write has taken it along: while many
// proxies claim a target that has just woken, a write that nobody waits for would only be in their way.
const outcomeAfter = 2 * time.Second

// tellTimeout bounds that write: meanwhile the Keeper does nothing else. After tellTries that failed it takes the next write.
const (
	tellTimeout = time.Second
	tellTries   = 5
)

// Source is a connection of a Service.
type Source struct {
	Service string
	// Port is the Service's; 0 if it is not known.
	Port int32
	// Client is the client's address.
	Client netip.AddrPort
}

// SleepReason is why a target was put to sleep.
type SleepReason string

const (
	NoConnections SleepReason = "no_connections" // nobody was connected
	NoTraffic     SleepReason = "no_traffic"     // somebody was, and silent
	TakenOver     SleepReason = "taken_over"     // another process had begun to, and did not end it
	Requested     SleepReason = "requested"      // somebody asked for it
)

// following returns the history of a target in the state that is to follow that of the record. What a connection has to do
// with it is a Keeper's to add.
func (r record) following(next sleep.State) contract.History {
	h, was := r.history, r.state
	switch {
	case was.Phase == sleep.Asleep && next.Phase != sleep.Asleep:
		return h.Slept(next.Since.Sub(was.Since), was.Stopped())
	case was.Phase == sleep.Sleeping && next.Phase == sleep.Asleep:
		h.Sleeps++
	}
	return h
}

// wakesUp reports whether a state follows another because a holder woke the target for a connection.
func wakesUp(was, next sleep.State, holder string) bool {
	claim, claims := next.Claims[holder]
	return was.Phase == sleep.Asleep && next.Phase == sleep.Awake && claims && claim.Active()
}

// tell is what a Keeper has yet to write of a wake that it began and that has ended.
type tell struct {
	began time.Time
	as    contract.Wake
	due   time.Time
	tries int
}

// fill returns a history with the outcome, if its last wake is that one.
func (t *tell) fill(h contract.History) contract.History {
	if t != nil && h.LastWake != nil && h.LastWake.At.Equal(t.began) && h.LastWake.Outcome == "" {
		wake := *h.LastWake
		wake.Outcome, wake.Took = t.as.Outcome, t.as.Took
		h.LastWake = &wake
	}
	return h
}

// history returns that of a target in a state that is to follow a record.
func (k *Keeper) history(was record, next sleep.State) contract.History {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	h := k.untold.fill(was.following(next))
	if next.Phase == sleep.Sleeping && k.pod != (contract.Requests{}) {
		h.Pod = k.pod
	}
	if n := k.napIn(was.state); k.ended(n, next) {
		h = k.napped(h, n)
	}
	if wakesUp(was.state, next, k.config.Pod) && !k.rouses() {
		h.Wakes++
		h.LastWake = k.wake()
	}
	return h
}

// reason is why this process is about to have the target sleep, or go on to.
func (k *Keeper) reason(was sleep.State) SleepReason {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	switch {
	case was.Phase == sleep.Sleeping && was.By == k.config.Process:
		return k.falls
	case was.Phase == sleep.Sleeping:
		return TakenOver
	case was.LastUse().Before(k.requested) && now().Before(was.LastUse().Add(k.use.IdleTimeout)):
		return Requested
	case len(k.gate.parked) > 0:
		return NoTraffic
	}
	return NoConnections
}

// wake is one that begins for who waits; gate.mu is held.
func (k *Keeper) wake() *contract.Wake {
	w := &contract.Wake{At: now()}
	if k.gate.waiting > 0 {
		w.At = w.At.Add(-max(0, time.Since(k.gate.waitingSince).Truncate(time.Millisecond)))
		w.Service = k.gate.source.Service
		if addr := k.gate.source.Client.Addr(); addr.IsValid() {
			w.From = addr.String()
		}
	}
	return w
}

// tellLater has the outcome of a wake written that this Keeper began; gate.mu is held.
func (k *Keeper) tellLater(w *waking) {
	outcome, took := w.outcome()
	k.untold = &tell{
		began: w.began, as: contract.Wake{Outcome: outcome, Took: took.Seconds()}, due: time.Now().Add(outcomeAfter),
	}
}

// tellDue returns when the outcome of a wake is to be written; the zero time if none is.
func (k *Keeper) tellDue() time.Time {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	if k.untold == nil {
		return time.Time{}
	}
	return k.untold.due
}

// tellOutcome writes the outcome of a wake if that is due. The state stays as it is, so that to package sleep this is a write by
// somebody else; and nobody waits for it, so it is given up after a moment, and tried again.
func (k *Keeper) tellOutcome(ctx context.Context) {
	k.gate.mu.Lock()
	t, was := k.untold, k.last
	idle := k.gate.waiting == 0 && k.machine.Held()
	k.gate.mu.Unlock()
	if t == nil || t.due.IsZero() || time.Now().Before(t.due) {
		return
	}
	history := t.fill(was.history)
	if history == was.history { // another wake has come, or a write has taken it along
		k.told(t)
		return
	}
	if !idle || !k.tryTurn() {
		k.tellAgain(t)
		return
	}
	defer k.endTurn()
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	written, err := k.config.Store.write(ctx, k.config.Namespace, k.config.Target, was, record{state: was.state, history: history})
	if err != nil {
		k.tellFailed(t)
		return
	}
	k.told(t)
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	if k.newer(written) {
		k.observe(written)
		k.swing()
	}
}

// told ends what tellLater began.
func (k *Keeper) told(t *tell) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	if k.untold == t {
		k.untold = nil
	}
}

// tellAgain puts it off.
func (k *Keeper) tellAgain(t *tell) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	t.due = time.Now().Add(outcomeAfter)
}

// tellFailed puts it off too, but not for ever.
func (k *Keeper) tellFailed(t *tell) {
	k.tellAgain(t)
	t.tries++
	if t.tries == tellTries {
		t.due = time.Time{}
	}
}

// tryTurn takes one of the turns of those that nobody waits for, if one is free.
func (k *Keeper) tryTurn() bool {
	if k.config.Turns == nil {
		return true
	}
	select {
	case k.config.Turns <- struct{}{}:
		return true
	default:
		return false
	}
}

func (k *Keeper) endTurn() {
	if k.config.Turns != nil {
		<-k.config.Turns
	}
}

// SetPod tells what a pod of the target requests, while one is seen.
func (k *Keeper) SetPod(r contract.Requests) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	k.pod = r
}

// History returns what has become of the target, its present sleep included, or the one that it would be in.
func (k *Keeper) History() contract.History {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	h := k.napped(k.last.history, k.napIn(k.last.state))
	if k.last.state.Phase == sleep.Asleep {
		h = h.Slept(now().Sub(k.last.state.Since), k.last.state.Stopped())
	}
	return h
}
