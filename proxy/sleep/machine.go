package sleep

import (
	"cmp"
	"slices"
	"time"
)

// The protocol's times. None is needed for safety.
const (
	// TakeOver is how long another process may stay in Sleeping before it is taken over: far more than the one write
	// that it has to make, far less than people wait.
	TakeOver = 10 * time.Second
	// Recheck is how often the scale is read while somebody waits and no backend is ready, or a backend is ready
	// although the target is asleep.
	Recheck = 2 * time.Second
	// Grace follows every failure to reach the API server: proxies that dialed without a claim meanwhile get time to
	// claim before anybody sleeps.
	Grace = 15 * time.Second
	// courtesy is how long the others leave the sleep to the proxy that was used last, so that they do not all try at
	// once.
	courtesy = 500 * time.Millisecond
	// maxBackoff bounds the time between two attempts at a call that failed: somebody may be waiting for it.
	maxBackoff = 2 * time.Second
	// maxSleepBackoff bounds the time between two attempts to sleep.
	maxSleepBackoff = time.Minute
)

// Inputs is what one proxy sees around a target when it asks what to do next.
type Inputs struct {
	Now time.Time
	// Active is the number of connections counted here; IdleSince is when it became 0.
	Active    int
	IdleSince time.Time
	// Waiting says that connections wait for the claim here.
	Waiting bool
	// Ready is the number of ready backends.
	Ready int
	// IdleTimeout is how long the target is unused before it sleeps.
	IdleTimeout time.Duration
	// WakeReplicas is the number of replicas to wake to; 0 means what it had.
	WakeReplicas int32
	// Blocked says that the target must not sleep now.
	Blocked bool
	// Gone lists holders that seem to exist no more. Whether they really do is checked before an active claim is dropped.
	Gone []string
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

// Machine is one process's part in the protocol for one target. It is not safe for concurrent use.
type Machine struct {
	me, by string

	state   State
	version string
	exists  bool
	known   bool
	// doubt is the version from which a write of this process, or of an earlier one in the same pod, may still go out.
	// While the Lease is at that version the claim does not count: the write might give it up.
	doubt   *string
	started bool
	// sleepingSeen is when this process first saw the present Sleeping, by its own clock.
	sleepingSeen time.Time

	// scale is the scale as read for the step under way; nil if it must be read first.
	scale *Scale
	// sent says that a write of 0 for the present Sleeping may be on its way.
	sent bool
	// unreadable says that the API server refused to show the scale: there is none, or no right to it.
	unreadable bool
	// stamped says that scale was read before this process last wrote the present Sleeping to the Lease. Only then may
	// 0 be written with its resourceVersion: had the scale been read later, the Sleeping might have been ended by others
	// before, and the resourceVersion be that of a target that is in use.
	stamped bool
	// fenced says that no write of 0 for the present Sleeping can succeed any more.
	fenced bool
	// ensure says that the scale must be looked at because somebody needs a backend.
	ensure  bool
	checked time.Time

	failures, sleepFailures int
	retryAt, sleepAfter     time.Time
	graceTo                 time.Time
	// lost says that the last call got no answer; Grace begins anew with the next that does.
	lost bool
}

// New returns the Machine of one process. me is its claim's holder name, the same after a restart of the process in
// its pod; by is unique to the process.
func New(me, by string) *Machine { return &Machine{me: me, by: by} }

// Observe takes in the Lease as it was read, watched, or written by this process, with its resourceVersion. The caller
// sees to it that it is never older than what was observed before.
func (m *Machine) Observe(state State, exists bool, version string, now time.Time) {
	if m.doubt == nil && !m.started {
		m.doubt, m.started = &version, true
	}
	if m.doubt != nil && *m.doubt != version {
		m.doubt = nil
	}
	m.version = version
	if state.Phase == Sleeping && (!m.known || m.state.Phase != Sleeping || m.state.By != state.By || !m.state.Since.Equal(state.Since)) {
		m.sleepingSeen = now
		m.sent = state.TakenOver || state.By != m.by
		m.fenced, m.unreadable = false, false
	}
	if state.Phase != Sleeping || state.By != m.by {
		m.stamped = false
	}
	if state.Phase != m.state.Phase {
		m.ensure = state.Phase == Awake
		if state.Phase != Sleeping || state.By != m.by {
			m.scale = nil
		}
	}
	m.state, m.exists, m.known = state, exists, true
}

// State returns the Lease as last observed, and whether it was.
func (m *Machine) State() (State, bool) { return m.state, m.known && m.exists }

// Held reports whether this process may dial: its claim is active and the target awake, as far as it knows.
func (m *Machine) Held() bool {
	return m.known && m.exists && m.doubt == nil && m.state.holds(m.me)
}

// Quiet is how long a claim is kept after the last use. Half of the idle time-out, so that an app that is used every
// now and then costs no write for each visit.
func Quiet(idleTimeout time.Duration) time.Duration { return idleTimeout / 2 }

// Next says what to do now.
func (m *Machine) Next(in Inputs) Action {
	if in.Now.Before(m.retryAt) {
		return Action{Kind: Wait, At: m.retryAt}
	}
	if !m.known {
		return Action{Kind: ReadLease}
	}
	a := m.next(in)
	if a.Kind == Swap {
		a.State.Seq = m.state.Seq + 1
	}
	return a
}

func (m *Machine) next(in Inputs) Action {
	if !m.exists {
		if in.Leaving {
			return Action{Kind: Wait}
		}
		state := newState(in.Now)
		if in.Active > 0 || in.Waiting {
			state = state.claimed(m.me, in.Now)
		}
		return Action{Kind: Swap, State: state}
	}
	switch m.state.Phase {
	case Awake:
		return m.awake(in)
	case Sleeping:
		return m.sleeping(in)
	default:
		return m.asleep(in)
	}
}

func (m *Machine) awake(in Inputs) Action {
	claim, have := m.state.Claims[m.me]
	switch {
	case in.Active > 0 || in.Waiting:
		if !have || !claim.Active() || m.doubt != nil {
			return Action{Kind: Swap, State: m.prune(in).claimed(m.me, in.Now)}
		}
		return m.provide(in)
	case in.Leaving:
		if have {
			return Action{Kind: Swap, State: m.state.Drop(m.me, in.IdleSince), GivesUp: true}
		}
		return Action{Kind: Wait}
	case have && claim.Active():
		if at := in.IdleSince.Add(Quiet(in.IdleTimeout)); in.Now.Before(at) {
			return Action{Kind: Wait, At: at}
		}
		state := m.prune(in).clone()
		state.Claims[m.me] = Claim{IdleSince: in.IdleSince}
		if in.Ready > 0 {
			state.Owed = false
		}
		return Action{Kind: Swap, State: state, GivesUp: true}
	}
	return m.considerSleep(in)
}

// provide sees to it that a target in use has replicas: right after a wake, and now and then while no backend is ready
// (somebody may have scaled it to 0 by hand).
func (m *Machine) provide(in Inputs) Action {
	if in.Ready > 0 {
		m.ensure, m.scale = false, nil
		return Action{Kind: Wait}
	}
	if m.scale == nil {
		if at := m.checked.Add(Recheck); !m.ensure && in.Now.Before(at) {
			return Action{Kind: Wait, At: at}
		}
		return Action{Kind: ReadScale}
	}
	if m.scale.Replicas > 0 {
		m.ensure, m.scale = false, nil
		return Action{Kind: Wait, At: in.Now.Add(Recheck)}
	}
	return Action{Kind: WriteScale, Scale: *m.scale, Replicas: m.state.WakeTo(in.WakeReplicas)}
}

// WakeTo is the number of replicas to wake to: as configured, else what the target had, else 1.
func (s State) WakeTo(configured int32) int32 {
	return max(1, cmp.Or(configured, s.Replicas))
}

func (m *Machine) considerSleep(in Inputs) Action {
	if gone := m.goneActive(in); len(gone) > 0 {
		return Action{Kind: Verify, Holders: gone}
	}
	if in.Blocked || m.state.anyActive() {
		m.scale = nil
		return Action{Kind: Wait}
	}
	at := m.state.LastUse().Add(in.IdleTimeout)
	if last := m.state.lastUser(); last != "" && last != m.me {
		at = at.Add(courtesy)
	}
	for _, t := range []time.Time{m.state.NotBefore, m.graceTo, m.sleepAfter} {
		if t.After(at) {
			at = t
		}
	}
	if in.Now.Before(at) {
		m.scale = nil
		return Action{Kind: Wait, At: at}
	}
	if m.scale == nil {
		return Action{Kind: ReadScale}
	}
	if m.scale.Replicas == 0 {
		return Action{Kind: Swap, State: m.prune(in).with(Asleep, in.Now)}
	}
	state := m.prune(in).with(Sleeping, in.Now)
	state.By, state.Replicas, state.Owed = m.by, m.scale.Replicas, true
	return Action{Kind: Swap, State: state}
}

func (m *Machine) sleeping(in Inputs) Action {
	mine := m.state.By == m.by
	if at := m.sleepingSeen.Add(TakeOver); !mine && in.Now.Before(at) {
		return Action{Kind: Wait, At: at}
	}
	if mine && !m.sent && (in.Active > 0 || in.Waiting) {
		return Action{Kind: Swap, State: m.state.claimed(m.me, in.Now)}
	}
	if m.scale == nil && !m.unreadable {
		return Action{Kind: ReadScale}
	}
	switch {
	case mine && m.scale != nil && m.scale.Replicas == 0:
		return Action{Kind: Swap, State: m.state.with(Asleep, in.Now)}
	case mine && (m.fenced || m.unreadable):
		return Action{Kind: Swap, State: m.backAwake(in)}
	case mine && m.stamped:
		m.sent = true
		return Action{Kind: WriteScale, Scale: *m.scale, Replicas: 0}
	}
	state := m.state.with(Sleeping, in.Now)
	state.By, state.TakenOver = m.by, true
	return Action{Kind: Swap, State: state}
}

// backAwake is the State after a sleep that did not come about.
func (m *Machine) backAwake(in Inputs) State {
	if in.Active > 0 || in.Waiting {
		return m.state.claimed(m.me, in.Now)
	}
	return m.state.with(Awake, in.Now)
}

func (m *Machine) asleep(in Inputs) Action {
	if in.Active > 0 || in.Waiting {
		return Action{Kind: Swap, State: m.prune(in).claimed(m.me, in.Now)}
	}
	if in.Ready == 0 || in.Leaving {
		return Action{Kind: Wait}
	}
	// A backend is ready: either it is about to go, or somebody else scaled the target up.
	if m.scale == nil {
		if at := m.checked.Add(Recheck); in.Now.Before(at) {
			return Action{Kind: Wait, At: at}
		}
		return Action{Kind: ReadScale}
	}
	if m.scale.Replicas == 0 {
		m.scale = nil
		return Action{Kind: Wait, At: m.checked.Add(Recheck)}
	}
	state := m.prune(in).with(Awake, in.Now)
	state.Owed = false
	return Action{Kind: Swap, State: state}
}

// prune drops the idle claims of holders that seem gone; their use is remembered, so a mistake costs nothing.
func (m *Machine) prune(in Inputs) State {
	state := m.state
	for _, holder := range in.Gone {
		if c, ok := state.Claims[holder]; ok && !c.Active() && holder != m.me {
			state = state.Drop(holder, c.IdleSince)
		}
	}
	return state
}

func (m *Machine) goneActive(in Inputs) []string {
	var gone []string
	for _, holder := range in.Gone {
		if c, ok := m.state.Claims[holder]; ok && c.Active() && holder != m.me {
			gone = append(gone, holder)
		}
	}
	slices.Sort(gone)
	return gone
}
