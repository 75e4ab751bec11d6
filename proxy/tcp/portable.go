//go:build !linux || portable

package tcp

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Loops are nothing where connections wait in package net. The build tag portable says so on Linux, too, for tests.
type Loops struct{ loop Loop }

// Loop is one of Loops.
type Loop struct{}

// Start starts nothing.
func Start(int) (*Loops, error) { return &Loops{}, nil }

// Close ends nothing.
func (ls *Loops) Close() {}

// Next returns the only loop.
func (ls *Loops) Next() *Loop { return &ls.loop }

// Conn is a TCP connection.
type Conn struct {
	*net.TCPConn
	loop   *Loop
	remote netip.AddrPort
}

// Loop returns the loop that the connection belongs to.
func (c *Conn) Loop() *Loop { return c.loop }

// Remote returns the peer's address, an IPv4 one as such.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// Local returns this end's address, an IPv4 one as such.
func (c *Conn) Local() (netip.AddrPort, error) { return unmap(c.LocalAddr()), nil }

// CloseWrite tells the peer that nothing more will be sent.
func (c *Conn) CloseWrite() { _ = c.TCPConn.CloseWrite() }

// Close ends the connection in good order: what was written still arrives.
func (c *Conn) Close() { _ = c.TCPConn.Close() }

// Abort closes the connection with a reset, so that the peer does not take what it has read for all there was.
func (c *Conn) Abort() {
	_ = c.SetLinger(0)
	_ = c.TCPConn.Close()
}

// Connect connects to addr, and calls done with the outcome from another goroutine.
func Connect(ctx context.Context, l *Loop, addr netip.AddrPort, timeout time.Duration, done func(*Conn, error)) {
	go func() {
		d := net.Dialer{Timeout: timeout}
		c, err := d.DialContext(ctx, "tcp", addr.String())
		if err != nil {
			done(nil, err)
			return
		}
		done(&Conn{TCPConn: c.(*net.TCPConn), loop: l, remote: addr}, nil)
	}()
}

// Listener is an open port.
type Listener struct {
	*net.TCPListener
	loops *Loops
}

// Listen listens on port, on all addresses of both IP families; 0 picks a free port.
func Listen(port uint16, loops *Loops) (*Listener, error) {
	l, err := listen(port, nil)
	if err != nil {
		return nil, err
	}
	return &Listener{TCPListener: l, loops: loops}, nil
}

// Port returns the port that is listened on.
func (l *Listener) Port() uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

// Accept waits for a connection.
func (l *Listener) Accept() (*Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return &Conn{TCPConn: c, loop: l.loops.Next(), remote: unmap(c.RemoteAddr())}, nil
}

func unmap(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
