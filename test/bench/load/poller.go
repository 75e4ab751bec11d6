package load

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// poller waits for descriptors to be ready, by level.
type poller struct {
	fd     int
	events [256]unix.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &poller{fd: fd}, nil
}

func (p *poller) close() { _ = unix.Close(p.fd) }

func (p *poller) add(fd int, events uint32) error {
	err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("epoll: add: %w", err)
	}
	return nil
}

// forever is no limit.
const forever = -time.Millisecond

// wait returns what is ready, until the next call.
func (p *poller) wait(limit time.Duration) ([]unix.EpollEvent, error) {
	for {
		n, err := unix.EpollWait(p.fd, p.events[:], int(limit.Milliseconds()))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, fmt.Errorf("epoll: wait: %w", err)
		case n == 0:
			return nil, fmt.Errorf("nothing came for %s", limit)
		default:
			return p.events[:n], nil
		}
	}
}
