//go:build !portable

package tcp

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// batch is how many events one wait returns at most.
	batch = 128
	// yieldEvery is after what time a loop yields. The scheduler takes a goroutine that it has not scheduled for 10 ms for
	// one that does not want to let go, and then takes its processor away in every system call, fifty thousand times a
	// second: that was a tenth of what a new connection cost.
	yieldEvery = 4 * time.Millisecond
)

// Events are what has happened to a connection, as epoll tells it.
type Events uint32

// The Events that say that reading, or writing, is worth an attempt.
const (
	Readable Events = unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	Writable Events = unix.EPOLLOUT | unix.EPOLLHUP | unix.EPOLLERR
)

// Ending are the Events of a peer that sends no more, and of a connection that has failed.
const Ending Events = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

// Failed are the Events of a connection that has failed.
const Failed Events = unix.EPOLLERR

// Urgent are the Events of a peer that has sent urgent data. The kernel ends a read in front of it, however much there is
// behind it, and splices nothing past it.
const Urgent Events = unix.EPOLLPRI

// Handler is told what happens to a connection. Ready runs on the connection's loop, and must not block: it holds up all
// of the loop's connections. Events are edges: they tell of each change once.
type Handler interface{ Ready(Events) }

// Task is work that was put off.
type Task interface{ Run() }

// Loops are the loops of a process.
type Loops struct {
	loops []*Loop
	next  atomic.Uint32
	once  sync.Once // for Close
}

// Start starts n loops, at least 1. Each may keep one CPU busy. The process should be allowed one more (GOMAXPROCS) than
// it has loops: a loop that waits is in a system call, which the scheduler takes for work until it looks.
func Start(n int) (*Loops, error) {
	ls := &Loops{}
	for range n {
		l, err := newLoop()
		if err != nil {
			ls.Close()
			return nil, fmt.Errorf("event loop: %w", err)
		}
		ls.loops = append(ls.loops, l)
		go l.run()
	}
	return ls, nil
}

// Close ends the loops. Their connections stay as they are, and hear nothing more.
func (ls *Loops) Close() {
	ls.once.Do(func() {
		for _, l := range ls.loops {
			l.stop()
		}
	})
}

// Next returns the loops in turn.
func (ls *Loops) Next() *Loop { return ls.loops[int(ls.next.Add(1))%len(ls.loops)] }

// Loop waits for events of its connections, in one goroutine and one epoll instance, and passes them on.
type Loop struct {
	epoll int
	wake  int // an eventfd that ends the loop
	ended chan struct{}

	later []Task // these two belong to the loop's goroutine
	now   time.Time

	mu    sync.Mutex
	slots []slot
	free  []uint32 // unused slots
}

// slot is where events of one connection go. Its generation tells those of a connection that is gone.
type slot struct {
	handler    Handler
	generation uint32
}

func newLoop() (*Loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	l := &Loop{epoll: epoll, wake: wake, ended: make(chan struct{})}
	l.slots = make([]slot, 1) // the first one is wake's, and has no handler
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		_ = unix.Close(epoll)
		_ = unix.Close(wake)
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return l, nil
}

// Later has a task run after the events that are known now, one task between two looks for new events: this is how
// connections with much to move leave room for those with little. Only Ready and Run may call it.
func (l *Loop) Later(t Task) { l.later = append(l.later, t) }

// Now returns the time at which the last wait ended. Only Ready and Run may call it.
func (l *Loop) Now() time.Time { return l.now }

// run is the goroutine of a loop. The wait blocks in the kernel rather than in Go's own poller, which would cost two
// more system calls a message.
func (l *Loop) run() {
	defer close(l.ended)
	var events [batch]unix.EpollEvent
	var yielded time.Time
	for {
		timeout := -1
		if len(l.later) > 0 {
			timeout = 0
		}
		n, err := unix.EpollWait(l.epoll, events[:], timeout)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(os.NewSyscallError("epoll_wait", err)) // impossible: only of a descriptor that is no epoll instance
		}
		if l.now = time.Now(); l.now.Sub(yielded) > yieldEvery {
			runtime.Gosched()
			yielded = l.now
		}
		for _, e := range events[:max(n, 0)] {
			if e.Fd == 0 {
				return
			}
			if h := l.handler(uint32(e.Fd), uint32(e.Pad)); h != nil {
				h.Ready(Events(e.Events))
			}
		}
		if len(l.later) > 0 {
			t := l.later[0]
			l.later = slices.Delete(l.later, 0, 1) // keeps the room at the front, so that append allocates nothing
			t.Run()
		}
	}
}

func (l *Loop) handler(index, generation uint32) Handler {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := &l.slots[index]; s.generation == generation {
		return s.handler
	}
	return nil
}

// stop ends the loop and waits for that.
func (l *Loop) stop() {
	_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = unix.Close(l.wake)
	_ = unix.Close(l.epoll)
	l.epoll = -1 // the descriptor may soon be another's
}

// register gives a socket a slot, and has h told of its events from now on, the present ones first.
func (l *Loop) register(s *socket, h Handler) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var index uint32
	if n := len(l.free); n > 0 {
		index = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		index = uint32(len(l.slots))
		l.slots = append(l.slots, slot{})
	}
	l.slots[index].handler = h
	s.slot = index // before the first event: its handler may close the socket
	if err := l.control(unix.EPOLL_CTL_ADD, s.fd, index); err != nil {
		l.release(index)
		s.slot = 0
		return err
	}
	return nil
}

// hand gives a slot to another handler, and has it told of the present events.
func (l *Loop) hand(fd int, index uint32, h Handler) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots[index].handler = h
	l.slots[index].generation++
	return l.control(unix.EPOLL_CTL_MOD, fd, index)
}

// forget ends what register began; the descriptor is about to be closed, which takes it out of the epoll instance.
func (l *Loop) forget(index uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release(index)
}

// release frees a slot. The caller holds mu.
func (l *Loop) release(index uint32) {
	l.slots[index] = slot{generation: l.slots[index].generation + 1}
	l.free = append(l.free, index)
}

// control asks for everything that a connection may ever wait for, so that once is enough. The caller holds mu.
func (l *Loop) control(op, fd int, index uint32) error {
	e := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     int32(index), Pad: int32(l.slots[index].generation),
	}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.epoll, op, fd, &e))
}
