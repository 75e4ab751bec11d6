//go:build !portable

package relay

import (
	"fmt"
	"net"
	"sync"
	"time"

	"tpa.dev/tpa/proxy/tcp"
)

// Session is one pair of connections being relayed.
type Session struct {
	act  *Activity
	done func(Result)

	mu       sync.Mutex  // held by the loop while it moves bytes
	up, down flow        // from client to backend, and back
	last     int64       // when bytes last moved, or the session began, in Unix milliseconds
	wake     func() bool // Owner.Wake while the session is parked; nil otherwise
	woken    bool        // wake was called and said no
	over     bool        // both connections are closed
	told     bool        // done was called, or is about to be
	err      error
}

// Start relays between client and backend, which must belong to the same loop, until both directions are done. It then
// closes both, gracefully, or, if either failed, by a reset to both, and calls done once: from the loop, which it must
// not keep waiting, or from the goroutine that called Start or Abort. The connections are the session's from now on.
func Start(client, backend *tcp.Conn, act *Activity, done func(Result)) *Session {
	s := &Session{act: act, done: done, last: time.Now().UnixMilli()}
	s.up = flow{s: s, src: client, dst: backend}
	s.down = flow{s: s, src: backend, dst: client}
	s.mu.Lock()
	defer s.unlock()
	if err := client.Notify(&s.up); err != nil {
		s.fail(ErrClient, err)
	} else if err := backend.Notify(&s.down); err != nil {
		s.fail(ErrBackend, err)
	}
	return s
}

// Abort ends the session now, with a reset to both peers. It may be called at any time, by many, more than once.
func (s *Session) Abort() {
	s.mu.Lock()
	defer s.unlock()
	if !s.over {
		s.fail(ErrAborted, net.ErrClosed)
	}
}

// unlock ends what began with locking mu, and passes on the news if the session ended meanwhile.
func (s *Session) unlock() {
	tell := s.over && !s.told
	s.told = s.over
	s.mu.Unlock()
	if tell {
		s.done(Result{ToBackend: s.up.moved, ToClient: s.down.moved, Last: time.UnixMilli(s.last), Err: s.err})
	}
}

// finish ends the session after both directions have.
func (s *Session) finish() { s.end((*tcp.Conn).Close) }

// fail ends the session with a reset to both peers.
func (s *Session) fail(side, cause error) {
	s.err = fmt.Errorf("%w: %w", side, cause)
	s.end((*tcp.Conn).Abort)
}

func (s *Session) end(closeConn func(*tcp.Conn)) {
	s.over, s.wake = true, nil
	for _, f := range []*flow{&s.up, &s.down} {
		f.cargo.drop()
		closeConn(f.src)
	}
}
