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
	s := &Session{act: act}
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
		r.Err = s.err
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
		if n > 0 {
			written, err := dst.Write(buf[:n])
			moved += int64(written)
			s.act.moved(counter, written, time.Now())
			if peerGone(err) {
				// What dst sent before it went may still be read: the other direction decides.
				dst.reset.Store(!closedFirst(err))
				return moved
			} else if err != nil {
				s.fail(dst.failed, err)
				return moved
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			s.failIfReset(src)
			dst.CloseWrite()
			return moved
		case err != nil:
			s.fail(src.failed, err)
			return moved
		}
	}
}
