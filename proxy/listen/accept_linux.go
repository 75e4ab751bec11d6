//go:build !portable

package listen

import (
	"errors"
	"sync"
	"time"

	"tpa.dev/tpa/proxy/tcp"
)

// batch is how many connections are accepted before the loop's others have their turn.
const batch = 16

// Listener is an open port. It accepts on a loop.
type Listener struct {
	l       *tcp.Listener
	serve   func(*tcp.Conn)
	onError func(error)

	mu     sync.Mutex // held while accepting
	closed bool
	wait   time.Duration // after the last error
	retry  *time.Timer   // nil if no error is to be waited out
}

func start(l *tcp.Listener, serve func(*tcp.Conn), onError func(error)) (*Listener, error) {
	lis := &Listener{l: l, serve: serve, onError: onError}
	lis.mu.Lock()
	defer lis.mu.Unlock()
	return lis, l.Notify(lis)
}

// Close accepts what has already queued up, closes the port and waits for accepting to end. The kernel resets what it had
// completed and not handed over, so this order loses as little as a user program can.
func (l *Listener) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	if l.retry != nil {
		l.retry.Stop()
	}
	for {
		c, err := l.l.Accept()
		if err != nil {
			break
		}
		l.serve(c)
	}
	l.l.Close()
}

// Ready accepts what has queued up.
func (l *Listener) Ready(tcp.Events) { l.Run() }

// Run accepts a batch of what has queued up.
func (l *Listener) Run() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range batch {
		if l.closed {
			return
		}
		c, err := l.l.Accept()
		switch {
		case err == nil:
			l.wait = 0
			l.serve(c)
		case errors.Is(err, tcp.ErrNone):
			return
		default:
			l.backOff(err)
			return
		}
	}
	l.l.Loop().Later(l)
}

// backOff has the loop tell again of what has queued up, after a while. The caller holds mu.
func (l *Listener) backOff(err error) {
	l.wait = l.failed(err, l.wait)
	l.retry = time.AfterFunc(l.wait, l.again)
}

func (l *Listener) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if err := l.l.Notify(l); err != nil {
		l.backOff(err)
	}
}
