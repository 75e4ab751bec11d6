//go:build !linux || portable

package relay

import (
	"sync/atomic"
	"time"
)

// Park parks the session if no byte has moved since a time, none is on its way, and the owner agrees. A parked session passes
// nothing on. It reports whether the session was parked now.
func (s *Session) Park(since time.Time, owner Owner) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.wake != nil || s.moving > 0 || s.last > since.UnixMilli() || !owner.Park(time.UnixMilli(s.last)) {
		return false
	}
	s.wake, s.woken, s.goOn = owner.Wake, false, make(chan struct{})
	return true
}

// Wake has the owner of a parked session asked as if a peer had sent something.
func (s *Session) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ask()
}

// ask asks the owner of a parked session whether it goes on; mu is held.
func (s *Session) ask() {
	if s.wake == nil || s.woken {
		return
	}
	if s.woken = true; s.wake() {
		s.wake = nil
		close(s.goOn)
	}
}

// Resume has a parked session go on, with all that its peers have done meanwhile.
func (s *Session) Resume() { s.unpark(false) }

// unpark ends that a session is parked.
func (s *Session) unpark(over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = s.over || over
	if s.wake != nil {
		s.wake = nil
		close(s.goOn)
	}
}

// End ends a parked session in good order: both peers see an end, as of one who has nothing more to say. What they have sent
// meanwhile is dropped. A session that has come back is left alone.
func (s *Session) End() {
	s.mu.Lock()
	parked := s.wake != nil
	s.over = s.over || parked
	s.mu.Unlock()
	if !parked {
		return
	}
	s.once.Do(func() {
		s.err = ErrParked
		s.client.Close()
		s.backend.Close()
	})
	s.unpark(true)
}

// begin waits until the session is not parked, before what was read is passed on. It returns false if the session is over.
func (s *Session) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.ask(); s.wake != nil; s.ask() {
		goOn := s.goOn
		s.mu.Unlock()
		<-goOn
		s.mu.Lock()
	}
	if s.over {
		return false
	}
	s.moving++
	return true
}

// through ends what begin began.
func (s *Session) through(counter *atomic.Int64, written int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moving--
	if written > 0 {
		s.last = s.act.moved(counter, written, time.Now())
	}
}
