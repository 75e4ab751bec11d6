package sleep

import "time"

// Inputs is what one proxy sees around a target when it asks what to do next.
type Inputs struct {
	Now time.Time
	// Active is the number of connections counted here; IdleSince is when it became 0.
	Active    int
	IdleSince time.Time
	// Waiting says that connections wait for the claim here.
	Waiting bool
	// Served says that no counted connection here waits for a backend. While it is so, 0 replicas that are not TPA's stay: who
	// wrote them knew of the connections that were open.
	Served bool
	// Ready is the number of ready backends.
	Ready int
	// Starting says that there are pods which have been about to become ready for long.
	Starting bool
	// IdleTimeout is how long the target is unused before it sleeps; no time at all if its last use was before SleepRequested.
	IdleTimeout    time.Duration
	SleepRequested time.Time
	// WakeReplicas is the number of replicas to wake to; 0 means what it had.
	WakeReplicas int32
	// Blocked says that the target must not sleep now.
	Blocked bool
	// Gone lists holders that seem to exist no more. Whether they really do is checked before an active claim is dropped.
	Gone []string
	// Lost is when this process last failed to reach the API server, for whatever call; the zero time if it never did.
	Lost time.Time
	// Leaving says that this process ends: it has no connection and will have none.
	Leaving bool
}

// Scale is the target's scale as last read.
type Scale struct {
	Replicas        int32
	ResourceVersion string
}

// Kind is what an Action does.
type Kind int

const (
	// Wait does nothing until Action.At (the zero time: for ever) or until an input changes.
	Wait Kind = iota
	// ReadLease reads the Lease; its result is taken in with Observe.
	ReadLease
	// Swap writes Action.State to the Lease if it has not changed since it was observed, or creates it.
	Swap
	// ReadScale reads the target's scale.
	ReadScale
	// WriteScale writes Action.Replicas to the scale with Action.Scale's resourceVersion as the precondition.
	WriteScale
	// Verify asks the API server which of Action.Holders exist.
	Verify
)

// Action is the one thing to do next.
type Action struct {
	Kind  Kind
	At    time.Time
	State State
	// GivesUp says that the gate must be closed, with no connection inside, before the Swap is sent.
	GivesUp  bool
	Scale    Scale
	Replicas int32
	Holders  []string
}

// Outcome is how an Action ended.
type Outcome int

const (
	// OK: it was carried out.
	OK Outcome = iota
	// Conflict: the API server refused it because the object had changed. It was not carried out.
	Conflict
	// Refused: the API server refused it for another reason (forbidden, invalid, not found). It was not carried out.
	Refused
	// Unknown: it may or may not have been carried out, now or later.
	Unknown
)

// Result is what carrying out an Action brought.
type Result struct {
	Outcome Outcome
	// Scale is the scale after ReadScale or WriteScale.
	Scale Scale
	// Missing are the Action.Holders that do not exist, after Verify.
	Missing []string
}
