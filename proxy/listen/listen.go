// Package listen accepts TCP connections on one port, whatever happens, until it is closed.
//
//	l, err := listen.Open(20001, func(c *net.TCPConn) { go serve(c) }, func(err error) { report(err) })
//	...
//	l.Close()
//
// No accept error ends it: not a connection that was reset in the queue, not a process out of file descriptors. It
// backs off and goes on, and tells the caller, who decides how often that is worth a line.
//
// The package does not serve: each connection is the callback's from then on.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
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
	l       *net.TCPListener
	serve   func(*net.TCPConn)
	onError func(error)

	close  sync.Once
	closed chan struct{} // Close was called
	ended  chan struct{} // the accept loop is over
}

// Open listens on port, on all addresses of both IP families; 0 picks a free port.
//
// serve is called for each connection by the accept loop itself and must return at once. onError, which may be nil, is
// called for each accept error.
func Open(port uint16, serve func(*net.TCPConn), onError func(error)) (*Listener, error) {
	l, err := open(port)
	if err != nil {
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	if onError == nil {
		onError = func(error) {}
	}
	lis := &Listener{
		l: l.(*net.TCPListener), serve: serve, onError: onError,
		closed: make(chan struct{}), ended: make(chan struct{}),
	}
	go lis.acceptLoop()
	return lis, nil
}

func open(port uint16) (net.Listener, error) {
	// KeepAlive -1 keeps net from setting four options on every accepted socket: they inherit the listener's.
	lc := net.ListenConfig{KeepAlive: -1, Control: control}
	address := ":" + strconv.Itoa(int(port))
	l, err := lc.Listen(context.Background(), "tcp", address)
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) { // no IPv6 here
		l, err = lc.Listen(context.Background(), "tcp4", address)
	}
	return l, err
}

// Port returns the port that is listened on.
func (l *Listener) Port() uint16 { return uint16(l.l.Addr().(*net.TCPAddr).Port) }

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
		c, err := l.l.AcceptTCP()
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
