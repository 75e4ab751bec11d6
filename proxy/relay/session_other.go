//go:build !linux || portable

package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tpa.dev/tpa/proxy/tcp"
)

const bufferSize = 64 << 10

// Session is one pair of connections being relayed, by plain reads and writes of two goroutines.
type Session struct {
	client, backend side
	act             *Activity

	once   sync.Once // for err and the resets
	err    error
	copies sync.WaitGroup

	mu     sync.Mutex
	last   int64         // when bytes last moved, or the session began, in Unix milliseconds
	moving int           // copies that have read something and are not through with it
	wake   func() bool   // Owner.Wake while the session is parked; nil otherwise
	woken  bool          // wake was called and said no
	goOn   chan struct{} // closed when the session is parked no more
	over   bool
}

// side is one of the two connections.
type side struct {
	*tcp.Conn
	failed error       // how to name a failure of it
	reset  atomic.Bool // which the system has reported to who wrote, and will not report again
}

// Start relays between client and backend until both directions are done. It then closes both, gracefully, or, if either
// failed, by a reset to both, and calls done once. The connections are the session's from now on.
func Start(client, backend *tcp.Conn, act *Activity, done func(Result)) *Session {
	s := &Session{act: act, last: time.Now().UnixMilli()}
	s.client.Conn, s.client.failed = client, ErrClient
	s.backend.Conn, s.backend.failed = backend, ErrBackend
	var r Result
	s.copies.Go(func() { r.ToBackend = s.copy(&s.backend, &s.client, &act.toBackend) })
	s.copies.Go(func() { r.ToClient = s.copy(&s.client, &s.backend, &act.toClient) })
	go func() {
		s.copies.Wait()
		s.failIfReset(&s.client) // which the reader may have taken for an end, before the writer knew better
		s.failIfReset(&s.backend)
		s.once.Do(func() { client.Close(); backend.Close() })
		s.unpark(true)
		r.Last, r.Err = time.UnixMilli(s.last), s.err
		done(r)
	}()
	return s
}

// Abort ends the session now, with a reset to both peers. It may be called at any time, by many, more than once.
func (s *Session) Abort() { s.fail(ErrAborted, net.ErrClosed) }

// fail ends both directions. Only the first cause counts: what follows are its echoes.
func (s *Session) fail(side, cause error) {
	s.once.Do(func() {
		s.err = fmt.Errorf("%w: %w", side, cause)
		s.client.Conn.Abort()
		s.backend.Conn.Abort()
		s.unpark(true)
	})
}

func (s *Session) failIfReset(c *side) {
	if c.reset.Load() {
		s.fail(c.failed, os.NewSyscallError("write", syscall.ECONNRESET))
	}
}

// copy moves bytes from src to dst until either ends or fails.
func (s *Session) copy(dst, src *side, counter *atomic.Int64) (moved int64) {
	buf := make([]byte, bufferSize)
	for {
		n, err := src.Read(buf)
		if !s.begin() {
			return moved
		}
		written, ended := s.pass(dst, src, buf[:n], err)
		moved += int64(written)
		s.through(counter, written)
		if ended {
			return moved
		}
	}
}

// pass gives dst what was read from src, and reports whether that was the end.
func (s *Session) pass(dst, src *side, read []byte, err error) (written int, ended bool) {
	if len(read) > 0 {
		var werr error
		written, werr = dst.Write(read)
		if peerGone(werr) {
			// What dst sent before it went may still be read: the other direction decides.
			dst.reset.Store(!closedFirst(werr))
			return written, true
		} else if werr != nil {
			s.fail(dst.failed, werr)
			return written, true
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		s.failIfReset(src)
		dst.CloseWrite()
	case err != nil:
		s.fail(src.failed, err)
	}
	return written, err != nil
}
