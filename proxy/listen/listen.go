// Package listen accepts TCP connections on one port, whatever happens, until it is closed.
//
//	l, err := listen.Open(20001, loops, func(c *tcp.Conn) { go serve(c) }, func(err error) { report(err) })
//	...
//	l.Close()
//
// No accept error ends it: not a connection that was reset in the queue, not a process out of file descriptors. It
// backs off and goes on, and tells the caller, who decides how often that is worth a line.
//
// The package does not serve: each connection is the callback's from then on.
package listen

import (
	"fmt"
	"sync"
	"time"

	"tpa.dev/tpa/proxy/tcp"
)

// Waiting times after accept errors: minBackoff, doubled with every further error in a row up to maxBackoff.
const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// lastCall is for how long Close goes on accepting what has queued up.
const lastCall = 10 * time.Millisecond

// Listener is an open port.
type Listener struct {
	l       *tcp.Listener
	serve   func(*tcp.Conn)
	onError func(error)

	close  sync.Once
	closed chan struct{} // Close was called
	ended  chan struct{} // the accept loop is over
}

// Open listens on port, on all addresses of both IP families; 0 picks a free port. Connections belong to the loops in
// turn.
//
// serve is called for each connection by the accept loop itself and must return at once. onError, which may be nil, is
// called for each accept error.
func Open(port uint16, loops *tcp.Loops, serve func(*tcp.Conn), onError func(error)) (*Listener, error) {
	l, err := tcp.Listen(port, loops)
	if err != nil {
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	if onError == nil {
		onError = func(error) {}
	}
	lis := &Listener{l: l, serve: serve, onError: onError, closed: make(chan struct{}), ended: make(chan struct{})}
	go lis.acceptLoop()
	return lis, nil
}

// Port returns the port that is listened on.
func (l *Listener) Port() uint16 { return l.l.Port() }

// Close accepts what has already queued up, closes the port and waits for the accept loop to end. The kernel resets
// what it had completed and not handed over, so this order loses as little as a user program can.
func (l *Listener) Close() {
	l.close.Do(func() {
		close(l.closed)
		_ = l.l.SetDeadline(time.Now().Add(lastCall))
	})
	<-l.ended
}

func (l *Listener) acceptLoop() {
	defer close(l.ended)
	defer l.l.Close()
	var wait time.Duration
	for {
		c, err := l.l.Accept()
		if err == nil {
			wait = 0
			l.serve(c)
			continue
		}
		select {
		case <-l.closed:
			return
		default:
		}
		l.onError(fmt.Errorf("accept on port %d: %w", l.Port(), err))
		wait = min(max(2*wait, minBackoff), maxBackoff)
		l.sleep(wait)
	}
}

// sleep waits for d, or less if the listener is closed meanwhile.
func (l *Listener) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.closed:
	}
}
