package hold

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Watcher notices clients that go away while their connections are held. One goroutine and one epoll instance serve
// all of them, and exist only while there is something to watch. The zero value is ready.
type Watcher struct {
	mu      sync.Mutex
	poller  *poller
	watched map[uint64]*watched
	lastID  uint64
}

type watched struct {
	conn syscall.RawConn
	gone func()
	told bool // belongs to run
}

// Watch calls gone once if the client leaves, soon after it does, from another goroutine. stop ends that; it must be
// called in the end, and before conn is read from. A call of gone may be under way when it returns.
//
// If the system refuses to watch (no descriptor left), the connection is held unwatched.
func (w *Watcher) Watch(conn *net.TCPConn, gone func()) (stop func()) {
	raw, err := conn.SyscallConn()
	if err != nil {
		gone()
		return func() {}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.poller == nil {
		p, err := newPoller()
		if err != nil {
			return func() {}
		}
		w.poller, w.watched = p, make(map[uint64]*watched)
		go w.run(p)
	}
	w.lastID++
	id := w.lastID
	w.watched[id] = &watched{conn: raw, gone: gone}
	_ = raw.Control(func(fd uintptr) { w.poller.add(int(fd), id) })
	return func() { w.unwatch(id) }
}

func (w *Watcher) unwatch(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, ok := w.watched[id]
	if !ok {
		return
	}
	delete(w.watched, id)
	_ = e.conn.Control(func(fd uintptr) { w.poller.remove(int(fd)) })
	if len(w.watched) == 0 {
		w.poller.retire()
		w.poller = nil
	}
}

// run passes events on until the poller is retired.
func (w *Watcher) run(p *poller) {
	defer p.file.Close()
	p.wait(func(id uint64, events uint32) {
		w.mu.Lock()
		e, ok := w.watched[id]
		w.mu.Unlock()
		if ok && !e.told && e.left(events) {
			e.told = true
			e.gone()
		}
	})
}

// left reports whether events mean that the client has gone. Its FIN alone does not, if it has sent something before.
func (e *watched) left(events uint32) bool {
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		return true
	}
	gone := false
	_ = e.conn.Control(func(fd uintptr) {
		_, err := peek(int(fd))
		gone = err != nil
	})
	return gone
}

// poller is an epoll instance whose own descriptor is waited for by the runtime's poller, so that no thread blocks.
type poller struct {
	file *os.File
	fd   int
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // this is how os.NewFile knows that it may poll
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return &poller{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}, nil
}

// add asks for one event when the peer closes its side and one when the connection fails; the latter needs no asking.
func (p *poller) add(fd int, id uint64) {
	event := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(id), Pad: int32(id >> 32)}
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &event)
}

func (p *poller) remove(fd int) { _ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) }

// retire ends wait. Closing the file instead would wait for wait, whose handler may need a lock of the caller's.
func (p *poller) retire() { _ = p.file.SetReadDeadline(time.Unix(1, 0)) }

// wait calls handle for each event until the poller is retired.
func (p *poller) wait(handle func(id uint64, events uint32)) {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	var events [64]unix.EpollEvent
	_ = raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.EpollWait(int(fd), events[:], 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return true
			}
			for _, e := range events[:n] {
				handle(uint64(uint32(e.Pad))<<32|uint64(uint32(e.Fd)), e.Events)
			}
			if n < len(events) {
				return false
			}
		}
	})
}
