package tcp_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func TestCloseLetsBytesArrive(t *testing.T) {
	near, far := tcptest.Pair(t, tcptest.Loops(t, 1))
	if n, err := near.Write([]byte("all there is")); n != len("all there is") || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	near.Close()
	tcptest.WantRead(t, far, "all there is")
	tcptest.WantEOF(t, far)
}

func TestAbortIsAReset(t *testing.T) {
	near, far := tcptest.Pair(t, tcptest.Loops(t, 1))
	near.Abort()
	tcptest.WantReset(t, far)
}

func TestAddresses(t *testing.T) {
	loops := tcptest.Loops(t, 1)
	l, err := tcp.Listen(0, loops)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, host := range []netip.Addr{tcptest.Loopback(0).Addr(), netip.IPv6Loopback()} {
		addr := netip.AddrPortFrom(host, l.Port())
		dialed, err := tcp.Dial(t.Context(), loops.Next(), addr, tcptest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		defer dialed.Close()
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		from, err := dialed.Local()
		if err != nil {
			t.Fatal(err)
		}
		at, err := accepted.Local()
		if err != nil {
			t.Fatal(err)
		}
		if dialed.Remote() != addr || at != addr || from.Addr() != host || accepted.Remote() != from {
			t.Errorf("%s dialed %s; %s accepted %s; want %s", from, dialed.Remote(), at, accepted.Remote(), addr)
		}
	}
}

func TestAcceptEndsAtTheDeadline(t *testing.T) {
	l := listen(t)
	time.AfterFunc(10*time.Millisecond, func() { _ = l.SetDeadline(time.Now()) })
	if _, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

func TestAcceptEndsWithTheListener(t *testing.T) {
	l := listen(t)
	time.AfterFunc(10*time.Millisecond, func() { _ = l.Close() })
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v, want %v", err, net.ErrClosed)
	}
}

func listen(t *testing.T) *tcp.Listener {
	t.Helper()
	l, err := tcp.Listen(0, tcptest.Loops(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestPortIsTaken(t *testing.T) {
	l := listen(t)
	if again, err := tcp.Listen(l.Port(), tcptest.Loops(t, 1)); err == nil {
		_ = again.Close()
		t.Errorf("port %d is listened on twice", l.Port())
	}
}
