package sleep

import "time"

// Done takes in how an Action ended. After a Swap that was OK, Observe must be called with what was written.
func (m *Machine) Done(a Action, r Result, now time.Time) {
	if m.lost && r.Outcome != Unknown {
		m.lost, m.graceTo = false, now.Add(Grace)
	}
	switch r.Outcome {
	case OK:
		m.failures, m.retryAt = 0, time.Time{}
	case Unknown:
		m.lost, m.graceTo = true, now.Add(Grace)
		m.retryAt = now.Add(backoff(&m.failures, 100*time.Millisecond, maxBackoff))
	case Refused:
		m.retryAt = now.Add(backoff(&m.failures, 100*time.Millisecond, maxBackoff))
	}
	switch a.Kind {
	case ReadScale:
		m.scale, m.stamped = nil, false
		if r.Outcome == OK {
			if !m.crossed {
				m.scale, m.checked = &r.Scale, now
				if m.sleeps(m.state) && m.state.outdates(r.Scale.ResourceVersion) {
					m.sent = false
				}
			}
			if m.unreadable {
				m.cameBack(now)
			}
		}
		m.unreadable = r.Outcome == Refused
		if m.unreadable {
			m.refused(now)
		}
	case WriteScale:
		m.wrote(a, r, now)
	case Swap:
		m.known = r.Outcome == OK
		if r.Outcome == Unknown {
			version := m.version
			m.doubt = &version
		}
		m.stamped = m.known && a.State.Phase == Sleeping && m.scale != nil
	}
}

func (m *Machine) wrote(a Action, r Result, now time.Time) {
	m.scale = nil
	switch {
	case r.Outcome == OK:
		if !m.crossed {
			m.scale = &r.Scale
		}
		if a.Replicas == 0 {
			m.sleepFailures = 0
		}
	case a.Replicas > 0:
	case r.Outcome == Conflict:
		m.gaveUp(now)
	case r.Outcome == Refused:
		m.refused(now)
	case r.Outcome == Unknown:
		m.sent, m.doubtFrom = true, now
	}
}

// refused takes in that the scale may not be read, or 0 not be written. That ends the attempt to sleep, unless an earlier
// write of 0 is on its way, which may arrive when the refusal does not hold any more. Then it is tried again, often enough
// that nobody takes over: until 0 can be written, the scale's resourceVersion has moved, or no request is so old.
func (m *Machine) refused(now time.Time) {
	if m.state.Phase == Sleeping && m.sent && !m.fenced && now.Before(m.doubtFrom.Add(requestLife)) {
		m.again = now.Add(TakeOver / 2)
		return
	}
	m.gaveUp(now)
}

// gaveUp ends an attempt to sleep: no write of 0 for this Sleeping can succeed any more. A conflict proves that, for the
// scale's resourceVersion has moved past the one that this write, and any earlier write for this Sleeping, carries.
func (m *Machine) gaveUp(now time.Time) {
	m.fenced = true
	m.sleepAfter = now.Add(backoff(&m.sleepFailures, time.Second, maxSleepBackoff))
}

// cameBack notes that a workload is there whose scale could not be read: it may be another one of the same name.
func (m *Machine) cameBack(now time.Time) {
	m.unreadable = false
	m.returned, m.sleepFailures, m.sleepAfter = now, 0, time.Time{}
}

// backoff doubles from first to most with the number of failures, which it counts.
func backoff(failures *int, first, most time.Duration) time.Duration {
	d := min(first<<min(*failures, 16), most)
	*failures++
	return d
}

// Dropped returns the State without the claims of holders that were verified not to exist, as the next Swap.
func (m *Machine) Dropped(missing []string, now time.Time) Action {
	state := m.state
	for _, holder := range missing {
		state = state.Drop(holder, now)
	}
	state.Seq = m.state.Seq + 1
	return Action{Kind: Swap, State: state}
}
