package load

import (
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// fleet is connections over which messages are exchanged, several at once on each.
type fleet struct {
	conns []*echoed
	polls []unix.PollFd // of conns
	buf   [128 * MessageSize]byte
}

// echoed is one connection of a fleet.
type echoed struct {
	fd int
	// sent and got count messages; times are when those were due that have not come back.
	sent, got uint64
	times     []time.Duration
	part      []byte // of a message
}

func newFleet(address string, conns int) (*fleet, error) {
	f := &fleet{}
	for range conns {
		fd, err := dial(address)
		if err != nil {
			f.close()
			return nil, err
		}
		f.conns = append(f.conns, &echoed{fd: fd})
		f.polls = append(f.polls, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	return f, nil
}

func (f *fleet) close() {
	for _, c := range f.conns {
		_ = unix.Close(c.fd)
	}
}

// send sends a message that was due at a time.
func (c *echoed) send(due time.Duration) error {
	var message [MessageSize]byte
	writeMessage(&message, c.sent)
	n, err := unix.SendmsgN(c.fd, message[:], nil, nil, unix.MSG_DONTWAIT)
	if err == nil && n < len(message) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("send message %d of a connection: %w", c.sent, err)
	}
	c.sent++
	c.times = append(c.times, due)
	return nil
}

// receive waits for messages to come back, for a time at most, and calls back for each, with the time that it was due at.
func (f *fleet) receive(limit time.Duration, back func(c *echoed, due time.Duration) error) error {
	timeout := unix.NsecToTimespec(limit.Nanoseconds())
	n, err := unix.Ppoll(f.polls, &timeout, nil)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("poll: %w", err)
	}
	for i := 0; n > 0 && i < len(f.polls); i++ {
		if f.polls[i].Revents == 0 {
			continue
		}
		n--
		if err := f.read(f.conns[i], back); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) read(c *echoed, back func(c *echoed, due time.Duration) error) error {
	had := copy(f.buf[:], c.part)
	n, err := unix.Read(c.fd, f.buf[had:])
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("receive message %d of a connection: %w", c.got, err)
	}
	rest := f.buf[:had+n]
	for ; len(rest) >= MessageSize; rest = rest[MessageSize:] {
		if len(c.times) == 0 {
			return errors.New("more came back than was sent")
		}
		var want [MessageSize]byte
		writeMessage(&want, c.got)
		if err := checkMessage(rest[:MessageSize], want[:]); err != nil {
			return err
		}
		due := c.times[0]
		c.got++
		c.times = c.times[1:]
		if err := back(c, due); err != nil {
			return err
		}
	}
	c.part = append(c.part[:0], rest...)
	return nil
}

// awaited is how many messages have not come back.
func (f *fleet) awaited() (n int) {
	for _, c := range f.conns {
		n += len(c.times)
	}
	return n
}
