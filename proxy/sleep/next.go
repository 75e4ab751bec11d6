package sleep

import (
	"cmp"
	"slices"
	"time"
)

// Quiet is how long a claim is kept after the last use. Half of the idle time-out, so that an app that is used every
// now and then costs no write for each visit.
func Quiet(idleTimeout time.Duration) time.Duration { return idleTimeout / 2 }

// Idle is for how long a target is unused before it sleeps that was last used at a time. A use at the time of the request, or
// later, makes that void: when in doubt, stay awake.
func (in Inputs) Idle(used time.Time) time.Duration {
	if used.Before(in.SleepRequested) {
		return 0
	}
	return in.IdleTimeout
}

// Next says what to do now.
func (m *Machine) Next(in Inputs) Action {
	if in.Lost.After(m.lostAt) {
		m.lostAt, m.lost, m.graceTo = in.Lost, true, in.Now.Add(Grace)
	}
	if m.unreadable && m.ready == 0 && in.Ready > 0 {
		m.cameBack(in.Now) // it has pods, so there is no need to try whether it can be read
	}
	m.ready = in.Ready
	if in.Now.Before(m.retryAt) {
		return Action{Kind: Wait, At: m.retryAt}
	}
	if !m.known {
		return Action{Kind: ReadLease}
	}
	a := m.next(in)
	switch a.Kind {
	case Swap:
		a.State.Seq = m.state.Seq + 1
	case ReadScale, WriteScale:
		m.crossed = false
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
		if at := in.IdleSince.Add(Quiet(in.Idle(in.IdleSince))); in.Now.Before(at) {
			return Action{Kind: Wait, At: at}
		}
		state := m.prune(in).clone()
		state.Claims[m.me] = Claim{IdleSince: in.IdleSince}
		if in.Ready > 0 && !m.ensure {
			state.Owed = false
		}
		return Action{Kind: Swap, State: state, GivesUp: true}
	}
	return m.considerSleep(in)
}

// provide sees to it that a target in use has replicas: right after a wake, and now and then while no backend is ready
// (somebody may have scaled it to 0 by hand). After TPA's own 0 a ready backend says nothing: it may be one that this 0 has
// yet to end.
func (m *Machine) provide(in Inputs) Action {
	if in.Ready > 0 && (!m.ensure || !m.state.Owed || m.unreadable) {
		m.ensure, m.scale = m.ensure && m.state.Owed, nil
		return Action{Kind: Wait}
	}
	if in.Served && !in.Waiting && !m.ensure {
		m.scale = nil
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
	if in.Blocked || m.state.anyActive() || m.state.Contested() {
		m.scale = nil
		return Action{Kind: Wait}
	}
	used := m.state.LastUse()
	at := used.Add(in.Idle(used))
	if last := m.state.lastUser(); last != "" && last != m.me {
		at = at.Add(courtesy)
	}
	if back := m.returned.Add(in.Idle(m.returned)); back.After(at) && !m.returned.IsZero() {
		at = back // it may be another one of the same name
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
		state := m.prune(in).with(Asleep, in.Now)
		state.Owed = state.Owed && m.ensure // else TPA's own 0 was undone before this one was written
		return Action{Kind: Swap, State: state}
	}
	state := m.prune(in).with(Sleeping, in.Now)
	state.By, state.ScaleVersion, state.Replicas, state.Owed = m.by, m.scale.ResourceVersion, m.scale.Replicas, true
	return Action{Kind: Swap, State: state}
}

func (m *Machine) sleeping(in Inputs) Action {
	mine := m.sleeps(m.state)
	if at := m.sleepingSeen.Add(TakeOver); !mine && in.Now.Before(at) {
		return Action{Kind: Wait, At: at}
	}
	zero := m.scale != nil && m.scale.Replicas == 0
	if mine && !m.sent && (in.Active > 0 || in.Waiting || in.Now.Before(m.graceTo) && !zero) {
		return Action{Kind: Swap, State: m.backAwake(in)}
	}
	if mine && in.Now.Before(m.again) {
		return Action{Kind: Wait, At: m.again}
	}
	if m.scale == nil && !m.unreadable {
		return Action{Kind: ReadScale}
	}
	switch {
	case mine && zero:
		return Action{Kind: Swap, State: m.state.with(Asleep, in.Now)}
	case mine && m.fenced:
		return Action{Kind: Swap, State: m.backAwake(in)}
	case mine && m.stamped:
		return Action{Kind: WriteScale, Scale: *m.scale, Replicas: 0}
	}
	state := m.state.with(Sleeping, in.Now)
	state.By, state.TakenOver, state.ScaleVersion = m.by, m.sent, m.state.ScaleVersion
	if m.scale != nil {
		state.TakenOver = m.sent && !m.state.outdates(m.scale.ResourceVersion)
		state.ScaleVersion = m.scale.ResourceVersion
	}
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
	if in.Ready == 0 && !in.Starting || in.Leaving {
		return Action{Kind: Wait}
	}
	// There are pods: either they are about to go, or somebody else scaled the target up.
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
	state.Reverted++
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
