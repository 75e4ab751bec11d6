//go:build !portable

package relay

import (
	"time"

	"tpa.dev/tpa/proxy/tcp"
)

// Park parks the session if no byte has moved since a time, none is on its way, and the owner agrees. A parked session moves
// nothing: what its peers do waits in the kernel. It reports whether the session was parked now.
//
// A session that somebody is at is not a silent one, so this never waits.
func (s *Session) Park(since time.Time, owner Owner) bool {
	if !s.mu.TryLock() {
		return false
	}
	defer s.unlock()
	if s.over || s.wake != nil || s.last > since.UnixMilli() || !s.up.still() || !s.down.still() {
		return false
	}
	if !owner.Park(time.UnixMilli(s.last)) {
		return false
	}
	s.wake, s.woken = owner.Wake, false
	return true
}

// still reports whether the flow waits for src and for nothing else. Then whatever src does is another event.
func (f *flow) still() bool { return f.cargo.empty() && !f.putOff && f.broken == nil }

// Wake has the owner of a parked session asked as if a peer had sent something.
func (s *Session) Wake() {
	s.mu.Lock()
	defer s.unlock()
	if s.wake != nil && s.goesOn(tcp.Readable) {
		s.listen()
	}
}

// goesOn reports whether a parked session goes on after events. That there is room to write is none to it: it has nothing to
// write.
func (s *Session) goesOn(events tcp.Events) bool {
	if events&tcp.Readable == 0 || s.woken {
		return false
	}
	if s.wake() {
		s.wake = nil
		return true
	}
	s.woken = true
	return false
}

// Resume has a parked session go on, with all that its peers have done meanwhile.
func (s *Session) Resume() {
	s.mu.Lock()
	defer s.unlock()
	if s.wake != nil {
		s.wake = nil
		s.listen()
	}
}

// listen has both flows told of what is the case now: the events that told of it came while the session was parked.
func (s *Session) listen() {
	if err := s.up.src.Notify(&s.up); err != nil {
		s.fail(ErrClient, err)
	} else if err := s.down.src.Notify(&s.down); err != nil {
		s.fail(ErrBackend, err)
	}
}

// End ends a parked session in good order: both peers see an end, as of one who has nothing more to say. What they have sent
// meanwhile is dropped. A session that has come back is left alone.
func (s *Session) End() {
	s.mu.Lock()
	defer s.unlock()
	if s.wake == nil {
		return
	}
	s.err = ErrParked
	for _, f := range []*flow{&s.up, &s.down} {
		f.drop()
	}
	s.end((*tcp.Conn).Close)
}

// maxDropped is how much of one peer End drops: what a socket buffers at most by default (net.ipv4.tcp_rmem).
const maxDropped = 6 << 20

// drop reads what src has sent, for nobody: the kernel closes with a reset what has not been read to the end.
func (f *flow) drop() {
	for dropped := 0; dropped < maxDropped; {
		n, err := f.cargo.read(f.src.FD())
		if n == 0 || err != nil {
			break
		}
		dropped += n
	}
	f.cargo.drop()
}
