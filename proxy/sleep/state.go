// Package sleep decides when a target sleeps and wakes. It is the protocol of any number of proxies around one Lease,
// as a pure state machine: no I/O, no clock, no goroutine. The Lease is changed by compare-and-swap only, which is all
// that the protocol asks of the API server.
//
// # What the Lease says
//
// A State: the phase, the replicas to restore, and a claim for each proxy that uses the target. A claim is active, or
// idle since a time. The rules, from which nothing departs:
//
//  1. A proxy dials only while the phase is Awake and its own claim is active.
//  2. A proxy gives its claim up (writes it idle) only while it has no connection, and closes its gate before it writes.
//  3. Sleeping is entered only when no claim is active. While it lasts nobody claims, so that everybody holds.
//  4. Sleeping ends as Asleep once the scale is known to be 0, or as Awake once no write of 0 can still arrive: because
//     its author sent none, or one that was refused; or because the scale's resourceVersion has moved past ScaleVersion,
//     which that of no write for this Sleeping exceeds. A proxy that takes over from a silent one therefore finishes the
//     sleep (its own write moves the resourceVersion) and does not merely declare the target awake: the old write could
//     still be on its way. Nor does the refusal of its own write tell it that: the right to write 0 may come back. It tries
//     again until it may, or the resourceVersion has moved. If neither happens, the last resort is that no request is on
//     its way for longer than requestLife: then clients that are held are answered.
//  5. What others scaled up MaxReverted times in a row while it was asleep, without a use in between, does not sleep before
//     its next use.
//
// From 1–4: 0 replicas are never written while a claim is active. A 0 takes effect only in the Sleeping that it belongs to
// (4: the Sleeping does not end before), nobody has a claim then (3: none is active on entry, and none is made), and so
// nobody is connected (1 and 2). Clocks decide how soon a target sleeps and never whether that is safe; but for the last
// resort of 4, which goes by one process's own clock.
//
// # What is checked
//
// The tests visit every state of few proxies with few faults, and random worlds of more. Where each promise is checked, in
// invariants_test.go:
//
//   - rules 1 and 2, by the Lease as it is at the API server: dialsWithClaim
//   - rule 3, and what follows from the rules: noZeroInUse
//   - rule 4: zeroOnlyWhileSleeping, and beforeSwap when a Sleeping ends
//   - rule 5: leavesContested
//   - what TPA owes is known as long as the scale is 0 by TPA: debtIsKnown
//   - a person's 0 stays until somebody comes: zeroByHandStays
//   - from every state, once faults end: whoever waits is served, and the target rests Awake with backends or Asleep: atRest
//   - from every Sleeping, though 0 may not be written, or the scale not even be read, ever again: whoever waits is let
//     through: answers
//
// The worlds have crashes, processes that are frozen and go on, calls that are given up and carried out later or never,
// writes that are carried out twice, refusals that end, late watches, clocks that differ, people who scale, proxies that
// leave, must not sleep or keep the target awake, requests to sleep, the controller, and an API server that is away, when proxies dial without a claim (package
// target).
//
// Beyond the rules this takes for granted: whoever else writes the Lease changes neither its phase nor a proxy's claim; a
// request that was refused is not carried out by a copy of it; a write of 0 that is still on its way after requestLife, in
// the one case in which only time tells, never arrives. And of dialing without a claim: the API server is away for all
// proxies, each had heard of the Lease as it was before, and each notices.
//
//	m := sleep.New("pod-a", "pod-a/x1")
//	m.Observe(state, true, now)
//	action := m.Next(sleep.Inputs{Now: now, Active: 1, ...})
//	// carry it out, then
//	m.Done(action, result, now)
package sleep

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// Phase is where a target stands.
type Phase string

const (
	Awake    Phase = "Awake"
	Sleeping Phase = "Sleeping"
	Asleep   Phase = "Asleep"
)

// State is what a target's Lease records, under contract.StateKey. Times are the writer's clock.
type State struct {
	Phase Phase `json:"phase"`
	// Seq counts the writes, so that no write leaves the Lease as it was: each moves its resourceVersion, and thereby
	// defeats every older write that is still on its way.
	Seq int64 `json:"seq"`
	// Since is when the phase began.
	Since time.Time `json:"since"`
	// By is the process that entered Sleeping and may write 0.
	By string `json:"by,omitempty"`
	// TakenOver says that an earlier write of 0 for this Sleeping may still be on its way.
	TakenOver bool `json:"takenOver,omitempty"`
	// ScaleVersion is the scale's resourceVersion that By's write of 0 carries; those of earlier writes for this Sleeping
	// are the same or older. Empty in a Sleeping that an earlier version of TPA wrote.
	ScaleVersion string `json:"scaleVersion,omitempty"`
	// Replicas is what the target last had before TPA put it to sleep; 0 if TPA never did.
	Replicas int32 `json:"replicas,omitempty"`
	// Owed says that TPA may have written 0 and has not seen the target back since: opting out must restore Replicas.
	Owed bool `json:"owed,omitempty"`
	// Used is the latest use by holders whose claims are gone.
	Used time.Time `json:"used,omitzero"`
	// Reverted counts how often in a row others have scaled the target up while it was asleep, without a use in between.
	Reverted int `json:"reverted,omitempty"`
	// NotBefore is the earliest time to sleep: connections that were made before TPA took over get time to settle.
	NotBefore time.Time `json:"notBefore,omitzero"`
	// Claims holds each user of the target, by pod name; a holder that starts with "/" is not a pod.
	Claims map[string]Claim `json:"claims,omitempty"`
}

// Claim is one holder's statement about its use of the target.
type Claim struct {
	// IdleSince is when the last use ended; the zero time means that the claim is active.
	IdleSince time.Time `json:"idleSince,omitzero"`
}

// Active reports whether the claim forbids sleep.
func (c Claim) Active() bool { return c.IdleSince.IsZero() }

// Parse reads a State as String writes it.
func Parse(s string) (State, error) {
	var state State
	if err := json.Unmarshal([]byte(s), &state); err != nil {
		return State{}, fmt.Errorf("sleep state: %w", err)
	}
	switch state.Phase {
	case Awake, Sleeping, Asleep:
		return state, nil
	}
	return State{}, fmt.Errorf("sleep state: phase %q is not one of Awake, Sleeping, Asleep", state.Phase)
}

// String is the State as JSON; equal states give equal strings.
func (s State) String() string {
	b, _ := json.Marshal(s) // times, strings and integers always encode
	return string(b)
}

// newState is the State of a target that nobody has managed before: awake, idle from now.
func newState(now time.Time) State { return State{Phase: Awake, Since: now} }

// clone copies the State so that the copy's claims may be changed.
func (s State) clone() State {
	s.Claims = maps.Clone(s.Claims)
	if s.Claims == nil {
		s.Claims = map[string]Claim{}
	}
	return s
}

// holds reports whether the holder may dial.
func (s State) holds(holder string) bool {
	c, ok := s.Claims[holder]
	return s.Phase == Awake && ok && c.Active()
}

// anyActive reports whether a claim forbids sleep.
func (s State) anyActive() bool {
	for _, c := range s.Claims {
		if c.Active() {
			return true
		}
	}
	return false
}

// Contested reports whether somebody else wants the target awake: it does not sleep any more before its next use.
func (s State) Contested() bool { return s.Reverted >= MaxReverted }

// Stopped is how many replicas do not run because of TPA.
func (s State) Stopped() int32 {
	if s.Phase == Asleep && s.Owed {
		return s.Replicas
	}
	return 0
}

// outdates reports whether every write of 0 for this Sleeping meets a conflict at a later version of the scale.
func (s State) outdates(version string) bool {
	return s.ScaleVersion != "" && version != s.ScaleVersion
}

// LastUse is when the target was last used, as far as the idle claims tell; active claims are later than any time.
func (s State) LastUse() time.Time {
	last := s.Since
	if s.Phase != Awake {
		last = time.Time{}
	}
	if s.Used.After(last) {
		last = s.Used
	}
	for _, c := range s.Claims {
		if c.IdleSince.After(last) {
			last = c.IdleSince
		}
	}
	return last
}

// Due is when a target that is awake and unused is to sleep by what the Lease says; the zero time if it is not. That needs not
// come about: more than the Lease may keep it awake.
func (s State) Due(idleTimeout time.Duration) time.Time {
	if s.Phase != Awake || s.anyActive() || s.Contested() {
		return time.Time{}
	}
	at := s.LastUse().Add(idleTimeout)
	if s.NotBefore.After(at) {
		return s.NotBefore
	}
	return at
}

// lastUser is the holder of the claim that became idle last; empty if there is none.
func (s State) lastUser() string {
	var last string
	for holder, c := range s.Claims {
		if d := c.IdleSince.Compare(s.Claims[last].IdleSince); d > 0 || d == 0 && holder > last {
			last = holder
		}
	}
	return last
}

// with returns the State in a phase that begins now.
func (s State) with(p Phase, now time.Time) State {
	s = s.clone()
	s.Phase, s.Since, s.By, s.TakenOver, s.ScaleVersion = p, now, "", false, ""
	return s
}

// claimed returns the State, awake, with an active claim of the holder.
func (s State) claimed(holder string, now time.Time) State {
	if s.Phase == Awake {
		s = s.clone()
	} else {
		s = s.with(Awake, now)
	}
	s.Claims[holder] = Claim{}
	s.Reverted = 0
	return s
}

// Drop returns the State without the holder's claim; its use ended at the given time, or when the claim says.
func (s State) Drop(holder string, used time.Time) State {
	s = s.clone()
	if c, ok := s.Claims[holder]; ok && !c.Active() {
		used = c.IdleSince
	}
	if used.After(s.Used) {
		s.Used = used
	}
	delete(s.Claims, holder)
	return s
}
