package tcp_test

import (
	"net/netip"
	"testing"

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
	l := tcptest.Listener(t, loops)
	defer l.Close()
	for _, host := range []netip.Addr{tcptest.Loopback(0).Addr(), netip.IPv6Loopback()} {
		addr := netip.AddrPortFrom(host, l.Port())
		dialed, err := tcp.Dial(t.Context(), loops.Next(), addr, tcptest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		defer dialed.Close()
		accepted := tcptest.NextConn(t, l)
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

func TestPortIsTaken(t *testing.T) {
	loops := tcptest.Loops(t, 1)
	l := tcptest.Listener(t, loops)
	defer l.Close()
	if again, err := tcp.Listen(l.Port(), loops); err == nil {
		again.Close()
		t.Errorf("port %d is listened on twice", l.Port())
	}
}
