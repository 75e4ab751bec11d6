package tcp_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func TestDialRefused(t *testing.T) {
	l, addr := tcptest.Listen(t)
	_ = l.Close()
	c, err := tcp.Dial(t.Context(), tcptest.Loops(t, 1).Next(), addr, tcptest.Patience)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("connection %v, error %v; want %v", c, err, syscall.ECONNREFUSED)
	}
	wantOpError(t, err, addr)
}

func wantOpError(t *testing.T, err error, addr netip.AddrPort) {
	t.Helper()
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" || op.Addr.String() != addr.String() {
		t.Errorf("error %#v does not name the dial of %s", err, addr)
	}
}

func TestDialTimesOut(t *testing.T) {
	l, addr := full(t)
	defer l.Close()
	c, err := tcp.Dial(t.Context(), tcptest.Loops(t, 1).Next(), addr, 50*time.Millisecond)
	if !timedOut(err) {
		t.Fatalf("connection %v, error %v; want a time-out", c, err)
	}
	wantOpError(t, err, addr)
}

func timedOut(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func TestDialEndsWithItsContext(t *testing.T) {
	l, addr := full(t)
	defer l.Close()
	loop := tcptest.Loops(t, 1).Next()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	for _, when := range []string{"meanwhile", "before"} {
		c, err := tcp.Dial(ctx, loop, addr, tcptest.Patience)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: connection %v, error %v; want %v", when, c, err, context.Canceled)
		}
		wantOpError(t, err, addr)
	}
}

// A connect that must wait: the kernel drops the first SYN, and is heard with the next one, about a second later.
func TestDialWaits(t *testing.T) {
	l, addr := full(t)
	defer l.Close()
	loops := tcptest.Loops(t, 1)
	time.AfterFunc(100*time.Millisecond, func() { tcptest.Accept(t, l) }) // makes room
	c, err := tcp.Dial(t.Context(), loops.Next(), addr, tcptest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	far := tcptest.Accept(t, l)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	tcptest.WantRead(t, far, "x")
}

// full returns a listener that takes no more connections until one is accepted. The kernel ignores those who try.
func full(t *testing.T) (*net.TCPListener, netip.AddrPort) {
	t.Helper()
	l, addr := tcptest.Listen(t)
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var shrunk error
	if err := raw.Control(func(fd uintptr) { shrunk = syscall.Listen(int(fd), 0) }); err != nil || shrunk != nil {
		t.Fatal(err, shrunk)
	}
	tcptest.Dial(t, addr) // a queue of length 0 holds one
	if c, err := net.DialTimeout("tcp", addr.String(), 20*time.Millisecond); !timedOut(err) {
		t.Fatalf("connection %v, error %v; want a queue that is full", c, err)
	}
	return l, addr
}
