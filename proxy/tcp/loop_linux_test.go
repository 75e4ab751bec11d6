//go:build !portable

package tcp_test

import (
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// ear is a Handler that remembers what it was told.
type ear struct {
	told   chan struct{} // gets a value after events, if it is empty
	count  atomic.Int32
	events atomic.Uint32
}

func newEar() *ear { return &ear{told: make(chan struct{}, 1)} }

func (e *ear) Ready(events tcp.Events) {
	e.events.Or(uint32(events))
	e.count.Add(1)
	select {
	case e.told <- struct{}{}:
	default:
	}
}

func (e *ear) heard(events tcp.Events) bool { return tcp.Events(e.events.Load())&events != 0 }

func (e *ear) await(t *testing.T, events tcp.Events) {
	t.Helper()
	timeout := time.After(tcptest.Patience)
	for !e.heard(events) {
		select {
		case <-e.told:
		case <-timeout:
			t.Fatalf("not told of %#x, only of %#x", events, e.events.Load())
		}
	}
}

func notify(t *testing.T, c *tcp.Conn, h tcp.Handler) {
	t.Helper()
	if err := c.Notify(h); err != nil {
		t.Fatal(err)
	}
}

// A byte may come before, between and after two handlers that take each other's place. The last one must hear of it, the
// one before of at most one more event.
func TestHandlersChangePlacesAndMissNothing(t *testing.T) {
	near, far := tcptest.Pair(t, tcptest.Loops(t, 1))
	defer near.Close()
	var before *ear
	var heard int32
	for range 5000 {
		if before != nil && before.count.Load() > heard+1 {
			t.Fatalf("a handler was told of %d events after another had its place", before.count.Load()-heard)
		}
		wrote := make(chan error)
		go func() {
			_, err := far.Write([]byte{1})
			wrote <- err
		}()
		first, second := newEar(), newEar()
		notify(t, near, first)
		notify(t, near, second)
		before, heard = first, first.count.Load()
		second.await(t, unix.EPOLLIN)
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(near.FD(), make([]byte, 2)); n != 1 {
			t.Fatalf("read %d bytes, %v", n, err)
		}
	}
}

// One wait returns the events of many connections. The first handler that is told closes all the others and opens as
// many: these get the same descriptors and places, and must not get the events.
func TestEventsOfClosedConnectionsAreDropped(t *testing.T) {
	const n = 100 // fewer than one wait returns
	loops := tcptest.Loops(t, 1)
	servers, addr := tcptest.Listen(t)
	for range 20 {
		release := tcptest.HoldUp(t, loops)
		var old, fresh [n]*tcp.Conn
		var oldEars, freshEars [n]*ear
		first := -1
		var failed [n]error
		var opened sync.WaitGroup
		opened.Add(n)
		purge := func() {
			for i := range n {
				if i != first {
					old[i].Close()
				}
			}
			for i := range n {
				tcp.Connect(t.Context(), loops.Next(), addr, tcptest.Patience, func(c *tcp.Conn, err error) {
					defer opened.Done()
					if fresh[i], failed[i] = c, err; err == nil {
						failed[i] = c.Notify(freshEars[i])
					}
				})
			}
		}
		var fars [n]*net.TCPConn
		for i := range n {
			old[i], fars[i] = tcptest.Pair(t, loops)
			oldEars[i], freshEars[i] = newEar(), newEar()
			notify(t, old[i], tcptest.HandlerFunc(func(events tcp.Events) {
				oldEars[i].Ready(events)
				if first < 0 {
					first = i
					purge()
				}
			}))
			tcptest.Write(t, fars[i], "x")
		}
		release()
		opened.Wait()
		if err := errors.Join(failed[:]...); err != nil {
			t.Fatal(err)
		}
		for range n {
			tcptest.Accept(t, servers)
		}
		tcptest.HoldUp(t, loops)() // the loop is through with what it knew before
		used := map[int]bool{}
		for i, c := range old {
			used[c.FD()] = true
			if i != first && oldEars[i].count.Load() != 0 {
				t.Fatalf("the handler of a closed connection was told %#x", oldEars[i].events.Load())
			}
		}
		again := 0
		for i, c := range fresh {
			if freshEars[i].heard(unix.EPOLLIN | tcp.Ending) {
				t.Fatalf("a new connection was told of another's %#x", freshEars[i].events.Load())
			}
			if used[c.FD()] {
				again++
			}
			c.Close()
		}
		old[first].Close()
		if again < n-1 {
			t.Fatalf("%d of %d descriptors were used again: too few to show anything", again, n)
		}
	}
}

// Between two looks for new events a loop runs one task, however many wait, and each in its turn.
func TestTasksLeaveRoomForEvents(t *testing.T) {
	const tasks, pings = 50, 2000
	loops := tcptest.Loops(t, 1)
	near, far := tcptest.LoopPair(t, loops)
	var waits [pings]int
	runs := make([]int, tasks)
	var spinning sync.WaitGroup
	spinning.Add(tasks)
	total, before, got := 0, 0, 0
	notify(t, near, tcptest.HandlerFunc(func(events tcp.Events) {
		var b [2]byte
		if n, _ := unix.Read(near.FD(), b[:]); n == 1 {
			waits[got] = total - before
			got++
		} else if got > 0 {
			return // an event that is not of the byte
		} else {
			for i := range tasks {
				near.Loop().Later(&spinner{near.Loop(), &spinning, func() bool { runs[i]++; total++; return got < pings }})
			}
		}
		if got == pings {
			return
		}
		before = total
		_, _ = far.Write(b[:1])
	}))
	spinning.Wait()
	slices.Sort(waits[:])
	// All but a few, because the kernel may leave the delivery of a byte to another thread.
	if w := waits[pings*9/10]; w > 1 {
		t.Errorf("a tenth of the bytes had to wait for %d tasks or more, of %d", w, tasks)
	}
	if least, most := slices.Min(runs), slices.Max(runs); most > least+1 {
		t.Errorf("a task ran %d times while another ran %d times", most, least)
	}
}

// spinner is a Task that puts itself off again and again.
type spinner struct {
	loop  *tcp.Loop
	ended *sync.WaitGroup
	run   func() (again bool)
}

func (s *spinner) Run() {
	if s.run() {
		s.loop.Later(s)
	} else {
		s.ended.Done()
	}
}

// A handler may close its connection when it is first told of something, be it before Notify returns.
func TestHandlersMayClose(t *testing.T) {
	loops := tcptest.Loops(t, 1)
	for range 500 {
		near, far := tcptest.Pair(t, loops)
		closed := make(chan struct{})
		notify(t, near, tcptest.HandlerFunc(func(tcp.Events) {
			near.Close()
			close(closed)
		}))
		<-closed
		tcptest.WantEOF(t, far)
	}
	if n := loops.Registered(); n != 0 {
		t.Errorf("%d connections are still registered", n)
	}
}

// Whatever happens to connections, and from whichever goroutine they end, the loops keep nothing of them.
func TestClosedConnectionsLeaveNoPlace(t *testing.T) {
	const workers, cycles = 8, 500
	loops := tcptest.Loops(t, 2)
	fds := tcptest.Descriptors(t)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			servers, addr := tcptest.Listen(t)
			defer servers.Close()
			for i := range cycles {
				near, err := tcp.Dial(t.Context(), loops.Next(), addr, tcptest.Patience)
				if err != nil {
					t.Error(err)
					return
				}
				far, err := servers.AcceptTCP()
				if err != nil {
					t.Error(err)
					return
				}
				for range (w + i) % 3 {
					_ = near.Notify(newEar())
				}
				peer := make(chan struct{})
				go func() {
					defer close(peer)
					_, _ = far.Write([]byte("x"))
					if i%2 == 0 {
						_ = far.SetLinger(0)
					}
					_ = far.Close()
				}()
				if i%4 < 2 {
					near.Close()
				} else {
					near.Abort()
				}
				<-peer
			}
		})
	}
	wg.Wait()
	if n := loops.Registered(); n != 0 {
		t.Errorf("%d places are still taken", n)
	}
	if now := tcptest.Descriptors(t); now != fds {
		t.Errorf("%d descriptors, %d before", now, fds)
	}
}

// Loops may end before their connections. These are then only descriptors.
func TestLoopsEndBeforeTheirConnections(t *testing.T) {
	loops, err := tcp.Start(2)
	if err != nil {
		t.Fatal(err)
	}
	near, far := tcptest.Pair(t, loops)
	late, _ := tcptest.Pair(t, loops)
	e := newEar()
	notify(t, near, e)
	e.await(t, tcp.Writable)
	loops.Close()
	others := tcptest.Loops(t, 2) // with the same descriptors
	if err := late.Notify(newEar()); err == nil {
		t.Error("a loop that has ended takes a connection")
	}
	if err := near.Notify(newEar()); err == nil {
		t.Error("a loop that has ended takes a handler")
	}
	near.Close()
	late.Close()
	tcptest.WantEOF(t, far)
	alive, _ := tcptest.Pair(t, others)
	defer alive.Close()
	e = newEar()
	notify(t, alive, e)
	e.await(t, tcp.Writable)
}

func TestFailureIsToldOnce(t *testing.T) {
	near, far := tcptest.Pair(t, tcptest.Loops(t, 1))
	defer near.Close()
	e := newEar()
	notify(t, near, e)
	tcptest.Reset(far)
	e.await(t, tcp.Failed)
	if err := near.Failure(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("failure %v, want %v", err, syscall.ECONNRESET)
	}
	if err := near.Failure(); err != nil {
		t.Errorf("a second failure: %v", err)
	}
}
