package hold

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBudget(t *testing.T) {
	b := NewBudget(2)
	for range 2 {
		if !b.Acquire() {
			t.Fatal("refused below the bound")
		}
	}
	if b.Acquire() {
		t.Fatal("accepted beyond the bound")
	}
	if b.Held() != 2 || b.Refused() != 1 {
		t.Errorf("held %d, refused %d; want 2, 1", b.Held(), b.Refused())
	}
	b.Release()
	if !b.Acquire() {
		t.Error("a place given back cannot be taken")
	}
	b.SetMax(1)
	b.Release()
	if b.Acquire() {
		t.Error("the lower bound does not count")
	}
	b.SetMax(0)
	for range 100 {
		if !b.Acquire() {
			t.Fatal("refused without a bound")
		}
	}
}

func TestNilBudgetHasNoBound(t *testing.T) {
	var b *Budget
	if !b.Acquire() || b.Held() != 0 || b.Refused() != 0 {
		t.Error("a nil Budget must accept and count nothing")
	}
	b.Release()
}

func TestBudgetUnderContention(t *testing.T) {
	b := NewBudget(10)
	var now, most atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 10000 {
				if b.Acquire() {
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					now.Add(-1)
					b.Release()
				}
			}
		}()
	}
	wg.Wait()
	if most.Load() > 10 || b.Held() != 0 {
		t.Errorf("%d held at once, %d at the end", most.Load(), b.Held())
	}
}

func TestBudgetDoesNotAllocate(t *testing.T) {
	b := NewBudget(1)
	if n := testing.AllocsPerRun(100, func() { b.Acquire(); b.Release() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBudget(b *testing.B) {
	budget := NewBudget(1 << 20)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			budget.Acquire()
			budget.Release()
		}
	})
}

// What clients do, and whether that means that they have gone. Each is also done before the watch begins.
var departures = []struct {
	name string
	do   func(t *testing.T, near, far *net.TCPConn)
	gone bool
}{
	{"nothing", func(*testing.T, *net.TCPConn, *net.TCPConn) {}, false},
	{"data", func(t *testing.T, _, far *net.TCPConn) { tcptest.Write(t, far, "x") }, false},
	{"reset", func(_ *testing.T, _, far *net.TCPConn) { tcptest.Reset(far) }, true},
	{"close", func(_ *testing.T, _, far *net.TCPConn) { _ = far.Close() }, true},
	{"FIN", func(_ *testing.T, _, far *net.TCPConn) { _ = far.CloseWrite() }, true},
	{"data and FIN", func(t *testing.T, near, far *net.TCPConn) {
		tcptest.Write(t, far, "x")
		_ = far.CloseWrite()
	}, false},
	{"data and reset", func(t *testing.T, _, far *net.TCPConn) {
		tcptest.Write(t, far, "x")
		tcptest.Reset(far)
	}, true},
	{"data, FIN and reset", func(t *testing.T, _, far *net.TCPConn) {
		tcptest.Write(t, far, "x")
		_ = far.CloseWrite()
		tcptest.Reset(far)
	}, true},
}

func TestWatcher(t *testing.T) {
	for _, early := range []bool{false, true} {
		for _, tc := range departures {
			name := tc.name
			if early {
				name += " before the watch"
			}
			t.Run(name, func(t *testing.T) {
				var w Watcher
				near, far := tcptest.Pair(t)
				gone := make(chan struct{}, 10)
				if early {
					tc.do(t, near, far)
				}
				stop := w.Watch(near, func() { gone <- struct{}{} })
				if !early {
					tc.do(t, near, far)
				}
				if tc.gone {
					<-gone
				} else {
					settle(t, &w)
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

// settle returns once w has handled everything that has happened so far: events come in order.
func settle(t *testing.T, w *Watcher) {
	near, far := tcptest.Pair(t)
	seen := make(chan struct{}, 10)
	stop := w.Watch(near, func() { seen <- struct{}{} })
	tcptest.Reset(far)
	<-seen
	stop()
}

// A half-closed request is kept, but its client may still leave.
func TestWatcherSeesResetAfterFIN(t *testing.T) {
	var w Watcher
	near, far := tcptest.Pair(t)
	gone := make(chan struct{}, 10)
	defer w.Watch(near, func() { gone <- struct{}{} })()
	tcptest.Write(t, far, "GET")
	_ = far.CloseWrite()
	settle(t, &w)
	if len(gone) > 0 {
		t.Fatal("a half-closed request was taken for gone")
	}
	tcptest.Reset(far)
	<-gone
}

func TestWatchedBytesStay(t *testing.T) {
	var w Watcher
	near, far := tcptest.Pair(t)
	stop := w.Watch(near, func() { t.Error("gone") })
	tcptest.Write(t, far, "all of it")
	_ = far.CloseWrite()
	settle(t, &w)
	stop()
	tcptest.WantRead(t, near, "all of it")
	tcptest.WantEOF(t, near)
}

func TestWatcherOfManyLeavesNothing(t *testing.T) {
	const n = 500
	var w Watcher
	fds, goroutines := tcptest.Descriptors(t), runtime.NumGoroutine()
	for range 3 {
		var nears, fars []*net.TCPConn
		var stops []func()
		gone := make(chan int, n)
		for i := range n {
			near, far := tcptest.Pair(t)
			nears, fars = append(nears, near), append(fars, far)
			stops = append(stops, w.Watch(near, func() { gone <- i }))
		}
		if now := runtime.NumGoroutine(); now > goroutines+1 {
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
			_ = nears[i].Close()
			_ = fars[i].Close()
		}
		tcptest.Eventually(t, "goroutine ended", func() bool { return runtime.NumGoroutine() <= goroutines })
		tcptest.Eventually(t, "descriptors closed", func() bool { return tcptest.Descriptors(t) <= fds })
	}
}

func TestWatchClosed(t *testing.T) {
	var w Watcher
	near, _ := tcptest.Pair(t)
	_ = near.Close()
	stop := w.Watch(near, func() {})
	stop()
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
			near, far := tcptest.Pair(t)
			errs := make(chan error)
			go func() { errs <- FirstByte(near) }()
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
			if !tc.gone {
				tcptest.WantRead(t, near, "x")
			}
		})
	}
}

func TestFirstByteEndsWithClose(t *testing.T) {
	near, _ := tcptest.Pair(t)
	errs := make(chan error)
	go func() { errs <- FirstByte(near) }()
	_ = near.Close()
	if err := <-errs; !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

func BenchmarkWatch(b *testing.B) {
	var w Watcher
	near, _ := tcptest.Pair(b)
	other, _ := tcptest.Pair(b)
	defer w.Watch(other, func() {})()
	b.ReportAllocs()
	for b.Loop() {
		w.Watch(near, func() {})()
	}
}
