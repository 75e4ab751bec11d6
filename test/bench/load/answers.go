package load

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// asked is a connection over which a message is to come back.
type asked struct {
	n          uint64
	connecting bool
	have       int // bytes of the answer
}

// crowd is the state of answers.
type crowd struct {
	job    Job
	target *unix.SockaddrInet4
	poller *poller
	open   map[int]*asked // by descriptor
	// done have ended well, and are kept until all have.
	done       []int
	connecting int
	lost       float64
}

// answers opens Conns connections, AtOnce at a time, sends a message over each, and waits until every one has come back
// or its connection has been lost. All stay open until then.
func answers(job Job) (Result, error) {
	target, err := sockaddr(job.Address)
	if err != nil {
		return Result{}, err
	}
	c := &crowd{job: job, target: target, open: map[int]*asked{}}
	if c.poller, err = newPoller(); err != nil {
		return Result{}, err
	}
	defer c.close()
	began, started := time.Now(), 0
	for {
		for ; started < job.Conns && c.connecting < job.AtOnce; started++ {
			if err := c.connect(uint64(started)); err != nil {
				return Result{}, err
			}
		}
		if len(c.open) == 0 {
			break
		}
		ready, err := c.poller.wait(patience)
		if err != nil {
			return Result{}, fmt.Errorf("%d answers of %d: %w", len(c.done), job.Conns, err)
		}
		for _, event := range ready {
			c.advance(int(event.Fd), event.Events)
		}
	}
	ended := time.Now()
	return Result{Units: float64(len(c.done)), Lost: c.lost, Wall: ended.Sub(began), Ended: ended}, nil
}

// connect begins to. An edge will tell when the connection is there, and another when its answer is.
func (c *crowd) connect(n uint64) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err := unix.Connect(fd, c.target); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return fmt.Errorf("connect to %s: %w", c.job.Address, err)
	}
	c.open[fd] = &asked{n: n, connecting: true}
	c.connecting++
	return c.poller.add(fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLET)
}

func (c *crowd) advance(fd int, events uint32) {
	a := c.open[fd]
	if a == nil { // done, and its peer cannot wait
		return
	}
	var message [MessageSize]byte
	writeMessage(&message, a.n)
	if a.connecting {
		a.connecting = false
		c.connecting--
		if n, err := unix.Write(fd, message[:]); err != nil || n != len(message) {
			c.lose(fd)
		}
		return
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	var got [MessageSize]byte
	n, err := unix.Read(fd, got[a.have:])
	if err == unix.EAGAIN {
		return
	}
	if err != nil || n == 0 || checkMessage(got[a.have:a.have+n], message[a.have:a.have+n]) != nil {
		c.lose(fd)
		return
	}
	if a.have += n; a.have == MessageSize {
		delete(c.open, fd)
		c.done = append(c.done, fd)
	}
}

func (c *crowd) lose(fd int) {
	delete(c.open, fd)
	_ = unix.Close(fd)
	c.lost++
}

func (c *crowd) close() {
	for fd := range c.open {
		_ = unix.Close(fd)
	}
	for _, fd := range c.done {
		_ = unix.Close(fd)
	}
	c.poller.close()
}
