// Package tcptest gives the data path's tests real loopback connections. Only tests import it.
package tcptest

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp"
)

// Patience is how long tests wait for what must happen. It is long because it only matters to tests that fail.
const Patience = 30 * time.Second

// Listen returns a listener on a free loopback port, and its address.
func Listen(tb testing.TB) (*net.TCPListener, netip.AddrPort) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	return l.(*net.TCPListener), l.Addr().(*net.TCPAddr).AddrPort()
}

// Dial connects to addr.
func Dial(tb testing.TB, addr netip.AddrPort) *net.TCPConn {
	tb.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	if err != nil {
		tb.Fatal(err)
	}
	return Own(tb, c)
}

// Accept returns the next connection of l.
func Accept(tb testing.TB, l *net.TCPListener) *net.TCPConn {
	tb.Helper()
	_ = l.SetDeadline(time.Now().Add(Patience))
	c, err := l.AcceptTCP()
	if err != nil {
		tb.Fatal(err)
	}
	return Own(tb, c)
}

// Own closes c at the end of the test and makes it fail rather than hang.
func Own(tb testing.TB, c *net.TCPConn) *net.TCPConn {
	tb.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(Patience))
	return c
}

// Loops returns loops that end with the test. Connections that are still open then hear no more.
func Loops(tb testing.TB, n int) *tcp.Loops {
	tb.Helper()
	loops, err := tcp.Start(n)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(loops.Close)
	return loops
}

// Pair returns both ends of a connection: near is for the code under test, which closes it.
func Pair(tb testing.TB, loops *tcp.Loops) (near *tcp.Conn, far *net.TCPConn) {
	tb.Helper()
	l := Listener(tb, loops)
	defer l.Close()
	far = Dial(tb, Loopback(l.Port()))
	near = NextConn(tb, l)
	return near, far
}

// Listener returns a listener of the loops on a free port, which the caller closes.
func Listener(tb testing.TB, loops *tcp.Loops) *tcp.Listener {
	tb.Helper()
	l, err := tcp.Listen(0, loops)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// NextConn returns the next connection of l.
func NextConn(tb testing.TB, l *tcp.Listener) (c *tcp.Conn) {
	tb.Helper()
	var err error
	Eventually(tb, "a connection", func() bool { c, err = l.Accept(); return !errors.Is(err, tcp.ErrNone) })
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// Reset closes c with a reset.
func Reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// Write writes s to c.
func Write(tb testing.TB, c *net.TCPConn, s string) {
	tb.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		tb.Fatal(err)
	}
}

// WantRead fails unless the next bytes from c are s.
func WantRead(tb testing.TB, c *net.TCPConn, s string) {
	tb.Helper()
	buf := make([]byte, len(s))
	if n, err := io.ReadFull(c, buf); err != nil || string(buf) != s {
		tb.Fatalf("read %q, %v; want %q", buf[:n], err, s)
	}
}

// WantEOF fails unless c ends now, in good order.
func WantEOF(tb testing.TB, c *net.TCPConn) {
	tb.Helper()
	var b [1]byte
	if n, err := c.Read(b[:]); n != 0 || err != io.EOF {
		tb.Fatalf("read %q, %v; want EOF", b[:n], err)
	}
}

// WantReset fails unless c has been reset.
func WantReset(tb testing.TB, c *net.TCPConn) {
	tb.Helper()
	var b [1]byte
	if n, err := c.Read(b[:]); !errors.Is(err, syscall.ECONNRESET) {
		tb.Fatalf("read %q, %v; want a reset", b[:n], err)
	}
}

// Eventually waits until ok returns true. It is for what has no event to wait for, such as a counter.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("not in %v: %s", Patience, what)
		}
	}
}

// Descriptors returns how many file descriptors this process has open, or skips the test where it cannot be told.
func Descriptors(tb testing.TB) int {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Skip(err)
	}
	return len(entries)
}

// FreePort returns a port that nobody listens on. It is outside the range that the system takes ports from itself, so
// that no connection occupies it meanwhile.
func FreePort(tb testing.TB) uint16 {
	tb.Helper()
	for range 100 {
		port := 20000 + rand.N(10000)
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err == nil {
			_ = l.Close()
			return uint16(port)
		}
	}
	tb.Fatal("no free port in 20000 to 29999")
	return 0
}

// Loopback returns the loopback address with port.
func Loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}
