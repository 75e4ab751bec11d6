package sleep

import "time"

// The protocol's times. None is needed for safety but requestLife.
const (
	// TakeOver is how long another process may stay in Sleeping before it is taken over: far more than the one write
	// that it has to make, far less than people wait.
	TakeOver = 10 * time.Second
	// Recheck is how often the scale is read while somebody waits and no backend is ready, or a backend is ready
	// although the target is asleep.
	Recheck = 2 * time.Second
	// Grace follows every failure to reach the API server: proxies that dialed without a claim meanwhile get time to
	// claim before anybody sleeps, or goes on with a sleep that no 0 was sent for.
	Grace = 15 * time.Second
	// MaxReverted is how often in a row others may scale the target up while it is asleep before it is left to them.
	MaxReverted = 3
	// requestLife is how long after its sender has given up on it a request may be carried out at most; only where nothing
	// else tells, see rule 4. The API server ends a request after a minute (kube-apiserver's --request-timeout, by
	// default), and package target gives up after 5 s, of which this has a reserve.
	requestLife = 90 * time.Second
	// courtesy is how long the others leave the sleep to the proxy that was used last, so that they do not all try at
	// once.
	courtesy = 500 * time.Millisecond
	// maxBackoff bounds the time between two attempts at a call that failed: somebody may be waiting for it.
	maxBackoff = 2 * time.Second
	// maxSleepBackoff bounds the time between two attempts to sleep.
	maxSleepBackoff = time.Minute
)

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
	// crossed says that the phase has begun since the scale was asked for or written: what the answer says may be from before that.
	crossed bool
	// sent says that a write of 0 for the present Sleeping may be on its way: an earlier process's, or one of this process
	// that it gave up on. doubtFrom is from when on no further one can have been sent.
	sent      bool
	doubtFrom time.Time
	// again is when the next attempt is due at a Sleeping that can neither be finished nor ended.
	again time.Time
	// unreadable says that the API server refused to show the scale: there is none, or no right to it.
	unreadable bool
	// returned is when the workload was there again after that: one that was made anew, for one.
	returned time.Time
	// ready is the last Inputs.Ready.
	ready int
	// stamped says that scale was read before this process last wrote the present Sleeping to the Lease. Only then may
	// 0 be written with its resourceVersion: had the scale been read later, the Sleeping might have been ended by others
	// before, and the resourceVersion be that of a target that is in use.
	stamped bool
	// fenced says that this process has done with the present Sleeping: no write of 0 for it can succeed any more.
	fenced bool
	// ensure says that the scale must be looked at because somebody needs a backend: since the target has last become awake,
	// or since Rouse, it was not seen above 0.
	ensure  bool
	checked time.Time

	failures, sleepFailures int
	retryAt, sleepAfter     time.Time
	graceTo                 time.Time
	// lost says that the API server could not be reached since the last call that got an answer; Grace begins anew with the
	// next that does. lostAt is the Inputs.Lost that was taken in.
	lost   bool
	lostAt time.Time
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
	mine, was := m.sleeps(state), m.sleeps(m.state)
	begun := state.Phase != m.state.Phase || state.By != m.state.By || !state.Since.Equal(m.state.Since)
	if begun && state.Phase == Sleeping {
		m.sleepingSeen = now
		m.sent = state.TakenOver || !mine
		m.fenced, m.unreadable = false, false
		if !was {
			m.doubtFrom, m.again = now, time.Time{}
		}
	}
	if begun {
		m.crossed = true
		m.ensure = state.Phase == Awake
		if !mine {
			m.scale = nil
		}
	}
	if !mine {
		m.stamped = false
	}
	m.state, m.exists, m.known = state, exists, true
}

// Rouse has the target scaled up once it is next in use, as after a wake, though nobody of those waits for a backend: somebody may
// have scaled it to 0 by hand, and wants it awake now.
func (m *Machine) Rouse() { m.ensure = true }

// sleeps reports whether a State is a Sleeping of this process.
func (m *Machine) sleeps(s State) bool { return s.Phase == Sleeping && s.By == m.by }

// State returns the Lease as last observed, and whether it was.
func (m *Machine) State() (State, bool) { return m.state, m.known && m.exists }

// Held reports whether this process may dial: its claim is active and the target awake, as far as it knows.
func (m *Machine) Held() bool {
	return m.known && m.exists && m.doubt == nil && m.state.holds(m.me)
}
