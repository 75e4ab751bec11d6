//go:build !portable

package hold

import (
	"context"
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// What clients do, and whether that means that they have gone. Each is also done before the watch begins.
var departures = []struct {
	name string
	do   func(t *testing.T, far *net.TCPConn)
	gone bool
}{
	{"nothing", func(*testing.T, *net.TCPConn) {}, false},
	{"data", func(t *testing.T, far *net.TCPConn) { tcptest.Write(t, far, "x") }, false},
	{"reset", func(_ *testing.T, far *net.TCPConn) { tcptest.Reset(far) }, true},
	{"close", func(_ *testing.T, far *net.TCPConn) { _ = far.Close() }, true},
	{"FIN", func(_ *testing.T, far *net.TCPConn) { _ = far.CloseWrite() }, true},
	{"data and FIN", func(t *testing.T, far *net.TCPConn) {
		tcptest.Write(t, far, "x")
		_ = far.CloseWrite()
	}, false},
	{"data and reset", func(t *testing.T, far *net.TCPConn) {
		tcptest.Write(t, far, "x")
		tcptest.Reset(far)
	}, true},
	{"data, FIN and reset", func(t *testing.T, far *net.TCPConn) {
		tcptest.Write(t, far, "x")
		_ = far.CloseWrite()
		tcptest.Reset(far)
	}, true},
}

func TestWatch(t *testing.T) {
	for _, early := range []bool{false, true} {
		for _, tc := range departures {
			name := tc.name
			if early {
				name += " before the watch"
			}
			t.Run(name, func(t *testing.T) {
				loops := tcptest.Loops(t, 1)
				near, far := tcptest.Pair(t, loops)
				defer near.Close()
				gone := make(chan struct{}, 10)
				if early {
					tc.do(t, far)
				}
				stop := Watch(near, func() { gone <- struct{}{} })
				if !early {
					tc.do(t, far)
				}
				if tc.gone {
					<-gone
				} else {
					settle(t, loops)
					if len(gone) > 0 {
						t.Error("taken for gone")
					}
				}
				stop()
				stop()
			})
		}
	}
}

// settle returns once the loop has handled everything that has happened so far: events come in order.
func settle(t *testing.T, loops *tcp.Loops) {
	near, far := tcptest.Pair(t, loops)
	defer near.Close()
	seen := make(chan struct{}, 10)
	stop := Watch(near, func() { seen <- struct{}{} })
	tcptest.Reset(far)
	<-seen
	stop()
}

// A half-closed request is kept, but its client may still leave.
func TestWatchSeesResetAfterFIN(t *testing.T) {
	loops := tcptest.Loops(t, 1)
	near, far := tcptest.Pair(t, loops)
	defer near.Close()
	gone := make(chan struct{}, 10)
	defer Watch(near, func() { gone <- struct{}{} })()
	tcptest.Write(t, far, "GET")
	_ = far.CloseWrite()
	settle(t, loops)
	if len(gone) > 0 {
		t.Fatal("a half-closed request was taken for gone")
	}
	tcptest.Reset(far)
	<-gone
}

func TestWatchedBytesStay(t *testing.T) {
	loops := tcptest.Loops(t, 1)
	near, far := tcptest.Pair(t, loops)
	defer near.Close()
	stop := Watch(near, func() { t.Error("gone") })
	tcptest.Write(t, far, "all of it")
	_ = far.CloseWrite()
	settle(t, loops)
	stop()
	buf := make([]byte, 100)
	if n, err := unix.Read(near.FD(), buf); string(buf[:max(n, 0)]) != "all of it" || err != nil {
		t.Errorf("read %q, %v", buf[:max(n, 0)], err)
	}
	if n, err := unix.Read(near.FD(), buf); n != 0 || err != nil {
		t.Errorf("read %q, %v; want the end", buf[:max(n, 0)], err)
	}
}

func TestWatchOfManyLeavesNothing(t *testing.T) {
	const n = 500
	loops := tcptest.Loops(t, 1)
	fds, goroutines := tcptest.Descriptors(t), runtime.NumGoroutine()
	for range 3 {
		var nears []*tcp.Conn
		var fars []*net.TCPConn
		var stops []func()
		gone := make(chan int, n)
		for i := range n {
			near, far := tcptest.Pair(t, loops)
			nears, fars = append(nears, near), append(fars, far)
			stops = append(stops, Watch(near, func() { gone <- i }))
		}
		if now := runtime.NumGoroutine(); now > goroutines {
			t.Errorf("%d goroutines to watch %d connections", now-goroutines, n)
		}
		for i := 0; i < n; i += 2 {
			tcptest.Reset(fars[i])
		}
		for range n / 2 {
			if i := <-gone; i%2 != 0 {
				t.Errorf("connection %d is said to be gone", i)
			}
		}
		for i := range n {
			stops[i]()
			nears[i].Close()
			_ = fars[i].Close()
		}
		tcptest.Eventually(t, "descriptors closed", func() bool { return tcptest.Descriptors(t) <= fds })
	}
}

func TestFirstByte(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(far *net.TCPConn)
		gone bool
	}{
		{"data", func(far *net.TCPConn) { _, _ = far.Write([]byte("x")) }, false},
		{"data and FIN", func(far *net.TCPConn) { _, _ = far.Write([]byte("x")); _ = far.CloseWrite() }, false},
		{"FIN", func(far *net.TCPConn) { _ = far.CloseWrite() }, true},
		{"reset", func(far *net.TCPConn) { tcptest.Reset(far) }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			near, far := tcptest.Pair(t, tcptest.Loops(t, 1))
			defer near.Close()
			errs := make(chan error)
			go func() { errs <- FirstByte(t.Context(), near) }()
			select {
			case err := <-errs:
				t.Fatalf("returned %v before anything was sent", err)
			case <-time.After(5 * time.Millisecond):
			}
			tc.do(far)
			err := <-errs
			if errors.Is(err, ErrGone) != tc.gone || (err != nil) != tc.gone {
				t.Fatalf("error %v", err)
			}
			if tc.gone {
				return
			}
			buf := make([]byte, 100)
			if n, err := unix.Read(near.FD(), buf); string(buf[:max(n, 0)]) != "x" || err != nil {
				t.Errorf("read %q, %v", buf[:max(n, 0)], err)
			}
		})
	}
}

func TestFirstByteEndsWithItsContext(t *testing.T) {
	near, _ := tcptest.Pair(t, tcptest.Loops(t, 1))
	defer near.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	errs := make(chan error)
	go func() { errs <- FirstByte(ctx, near) }()
	cancel(net.ErrClosed)
	if err := <-errs; !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

func BenchmarkWatch(b *testing.B) {
	near, _ := tcptest.Pair(b, tcptest.Loops(b, 1))
	defer near.Close()
	b.ReportAllocs()
	for b.Loop() {
		Watch(near, func() {})()
	}
}
