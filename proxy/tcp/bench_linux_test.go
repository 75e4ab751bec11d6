//go:build !portable

package tcp_test

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func BenchmarkRoundTrip64(b *testing.B) {
	far, message := echo(b)
	_ = far.SetDeadline(time.Time{})
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, far, message)
	}
}

func BenchmarkDialAndClose(b *testing.B) {
	loops := tcptest.Loops(b, 1)
	l := tcptest.Listener(b, loops)
	defer l.Close()
	addr := tcptest.Loopback(l.Port())
	b.ReportAllocs()
	for b.Loop() {
		far, err := tcp.Dial(b.Context(), loops.Next(), addr, tcptest.Patience)
		if err != nil {
			b.Fatal(err)
		}
		near := tcptest.NextConn(b, l)
		near.Abort() // leaves no TIME-WAIT
		far.Close()
	}
}

func TestEventsAllocateNothing(t *testing.T) {
	far, message := echo(t)
	if n := testing.AllocsPerRun(1000, func() { roundTrip(t, far, message) }); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

// echo returns the far end of a connection whose loop sends everything back, and a message to send.
func echo(tb testing.TB) (far *net.TCPConn, message []byte) {
	tb.Helper()
	near, far := tcptest.Pair(tb, tcptest.Loops(tb, 1))
	tb.Cleanup(near.Close)
	message = make([]byte, 64)
	buf := make([]byte, len(message))
	err := near.Notify(tcptest.HandlerFunc(func(events tcp.Events) {
		if n, err := unix.Read(near.FD(), buf); err == nil {
			_, _ = near.Write(buf[:n])
		}
	}))
	if err != nil {
		tb.Fatal(err)
	}
	return far, message
}

func roundTrip(tb testing.TB, far *net.TCPConn, message []byte) {
	if _, err := far.Write(message); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(far, message); err != nil {
		tb.Fatal(err)
	}
}
