//go:build !linux || portable

package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"tpa.dev/tpa/proxy/tcp"
)

const bufferSize = 64 << 10

// Session is one pair of connections being relayed, by plain reads and writes of two goroutines.
type Session struct {
	client, backend *tcp.Conn
	act             *Activity

	once   sync.Once // for err and the resets
	err    error
	copies sync.WaitGroup
}

// Start relays between client and backend until both directions are done. It then closes both, gracefully, or, if either
// failed, by a reset to both, and calls done once. The connections are the session's from now on.
func Start(client, backend *tcp.Conn, act *Activity, done func(Result)) *Session {
	s := &Session{client: client, backend: backend, act: act}
	var r Result
	s.copies.Go(func() { r.ToBackend = s.copy(backend, client, ErrBackend, ErrClient, &act.toBackend) })
	s.copies.Go(func() { r.ToClient = s.copy(client, backend, ErrClient, ErrBackend, &act.toClient) })
	go func() {
		s.copies.Wait()
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
		s.client.Abort()
		s.backend.Abort()
	})
}

// copy moves bytes from src to dst until either ends or fails.
func (s *Session) copy(dst, src *tcp.Conn, dstErr, srcErr error, counter *atomic.Int64) (moved int64) {
	buf := make([]byte, bufferSize)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			written, err := dst.Write(buf[:n])
			moved += int64(written)
			s.act.moved(counter, written, time.Now())
			if peerGone(err) {
				return moved // what dst sent before it went may still be read: the other direction decides
			} else if err != nil {
				s.fail(dstErr, err)
				return moved
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			dst.CloseWrite()
			return moved
		case err != nil:
			s.fail(srcErr, err)
			return moved
		}
	}
}
