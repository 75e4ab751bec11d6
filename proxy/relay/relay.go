package relay

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// Reasons for a relay to end other than both peers having closed. Result.Err wraps one of them and the cause.
var (
	ErrClient  = errors.New("client connection failed")
	ErrBackend = errors.New("backend connection failed")
	ErrAborted = errors.New("aborted")
)

// Result says what a finished relay has moved and how it ended.
type Result struct {
	// ToBackend and ToClient are the bytes handed to each peer's socket.
	ToBackend, ToClient int64
	// Err is nil if both peers closed; otherwise it wraps ErrClient, ErrBackend or ErrAborted.
	Err error
}

// Relay copies from client to backend and from backend to client, and returns when both directions are done. Both
// connections are closed by then: gracefully, or, if either failed, by a reset to both.
//
// Calling Abort on the connections makes Relay return soon.
func Relay(client, backend *net.TCPConn, act *Activity) Result {
	return newSession(client, backend, act).relay()
}

// Abort closes connections with a reset, so that no peer takes what it has read for all there was. Bytes that the
// kernel has not sent yet are lost. Safe to call at any time, from any goroutine, more than once; nil is skipped.
func Abort(conns ...*net.TCPConn) {
	for _, c := range conns {
		if c != nil {
			_ = c.SetLinger(0)
			_ = c.Close()
		}
	}
}

// session is one pair of connections being relayed.
type session struct {
	client, backend *net.TCPConn
	up, down        direction
	ended           atomic.Int32 // directions that have stopped moving bytes
	done            sync.WaitGroup

	once sync.Once
	err  error
}

func newSession(client, backend *net.TCPConn, act *Activity) *session {
	s := &session{client: client, backend: backend}
	s.up = direction{s: s, src: client, dst: backend, srcErr: ErrClient, dstErr: ErrBackend, act: act, total: &act.toBackend}
	s.down = direction{s: s, src: backend, dst: client, srcErr: ErrBackend, dstErr: ErrClient, act: act, total: &act.toClient}
	s.up.back, s.down.back = &s.down, &s.up
	return s
}

func (s *session) relay() Result {
	s.done.Add(1)
	go s.backendToClient()
	s.up.run()
	s.done.Wait()

	_ = s.client.Close()
	_ = s.backend.Close()
	return Result{ToBackend: s.up.moved, ToClient: s.down.moved, Err: s.err}
}

func (s *session) backendToClient() {
	defer s.done.Done()
	s.down.run()
}

// fail ends both directions at once. Only the first cause counts: what follows are its echoes.
func (s *session) fail(side, cause error) {
	s.once.Do(func() {
		if errors.Is(cause, net.ErrClosed) {
			side = ErrAborted
		}
		s.err = fmt.Errorf("%w: %w", side, cause)
		Abort(s.client, s.backend)
	})
}

// direction is one half of a session. Its fields belong to the goroutine that runs it, except broken.
type direction struct {
	s              *session
	src, dst       *net.TCPConn
	srcErr, dstErr error
	back           *direction // the opposite direction
	act            *Activity
	total          *atomic.Int64
	moved          int64
	flow           flow // the system's way to move bytes

	// mu is held (on Linux) while writing to dst and recording how that failed. A reset is reported once by the kernel, to
	// whoever asks first; the reader of the same connection then sees a plain end. With mu it learns the truth.
	mu     sync.Mutex
	broken error
}

// run moves bytes until src ends or either side fails, passes the end on, and then stays to notice a reset of src for
// as long as the opposite direction goes on.
func (d *direction) run() {
	d.transfer()
	if d.s.ended.Add(1) == 2 {
		d.back.release()
		return
	}
	if err := d.awaitReset(); err != nil {
		d.s.fail(d.srcErr, err)
	}
}

func (d *direction) transfer() {
	readErr, writeErr := d.pump()
	switch {
	case readErr != nil:
		d.s.fail(d.srcErr, readErr)
	case writeErr == nil: // src has ended
		if err := d.back.failure(); err != nil && !closedFirst(err) {
			d.s.fail(d.srcErr, err)
			return
		}
		_ = d.dst.CloseWrite() // fails only if dst is gone, which the opposite direction finds out
	case peerGone(writeErr):
		// dst is dead, but what it sent before may still wait to be read, for instance the reason it hung up.
		// The opposite direction cannot block on a dead connection: it delivers that and decides.
	default:
		d.s.fail(d.dstErr, writeErr)
	}
}

// failure returns how writing to dst has failed, once no write is under way.
func (d *direction) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken
}

// count records n bytes that dst has taken.
func (d *direction) count(n int) {
	if n == 0 {
		return
	}
	d.moved += int64(n)
	d.act.moved(d.total, n)
}

// peerGone reports whether a write failed because the peer's end of the connection no longer exists.
func peerGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ETIMEDOUT)
}

// closedFirst reports whether a write failed although the peer had closed in good order before: Linux reports a reset
// that follows the peer's FIN as EPIPE, and one that does not as ECONNRESET.
func closedFirst(err error) bool { return errors.Is(err, syscall.EPIPE) }
