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
	"time"

	"tpa.dev/tpa/proxy/tcp"
)

// Waiting times after accept errors: minBackoff, doubled with every further error in a row up to maxBackoff.
const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// Open listens on port, on all addresses of both IP families; 0 picks a free port. Connections belong to the loops in
// turn.
//
// serve is called for each connection by the loop that accepts, or by Close, and must return at once. onError, which may
// be nil, is called for each accept error.
func Open(port uint16, loops *tcp.Loops, serve func(*tcp.Conn), onError func(error)) (*Listener, error) {
	l, err := tcp.Listen(port, loops)
	if err != nil {
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	if onError == nil {
		onError = func(error) {}
	}
	lis, err := start(l, serve, onError)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	return lis, nil
}

// Port returns the port that is listened on.
func (l *Listener) Port() uint16 { return l.l.Port() }

// failed reports an accept error, and returns how long to wait after it, given the wait after the one before.
func (l *Listener) failed(err error, before time.Duration) time.Duration {
	l.onError(fmt.Errorf("accept on port %d: %w", l.Port(), err))
	return min(max(2*before, minBackoff), maxBackoff)
}
