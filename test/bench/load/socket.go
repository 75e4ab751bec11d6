package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a peer may be silent that should answer.
const patience = 20 * time.Second

// dial connects a blocking socket whose calls fail after patience.
func dial(address string) (int, error) {
	target, err := sockaddr(address)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		connectThrough(fd, target))
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect to %s: %w", address, err)
	}
	return fd, nil
}

// connectThrough connects, and goes on after a signal, such as those by which Go preempts.
func connectThrough(fd int, target unix.Sockaddr) error {
	err := unix.Connect(fd, target)
	for errors.Is(err, unix.EINTR) { // the kernel goes on by itself; a second call would only say that it does
		events := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if _, err = unix.Poll(events, int(patience.Milliseconds())); err != nil {
			continue
		}
		errno, failed := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err = failed; err == nil && errno != 0 {
			err = syscall.Errno(errno)
		}
		if err == nil && events[0].Revents == 0 {
			err = unix.ETIMEDOUT
		}
	}
	return err
}

func sockaddr(address string) (*unix.SockaddrInet4, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}, nil
}

// exchange sends the nth message over a blocking socket, and waits until it has come back.
func exchange(fd int, n uint64) error {
	var sent, got [MessageSize]byte
	writeMessage(&sent, n)
	if wrote, err := unix.Write(fd, sent[:]); err != nil || wrote != len(sent) {
		return fmt.Errorf("send a message: %d bytes, %w", wrote, err)
	}
	for have := 0; have < len(got); {
		read, err := unix.Read(fd, got[have:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("receive a message: %w", err)
		case read == 0:
			return fmt.Errorf("receive a message: %w", io.ErrUnexpectedEOF)
		default:
			have += read
		}
	}
	return checkMessage(got[:], sent[:])
}

func checkMessage(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return errors.New("another message came back than was sent")
	}
	return nil
}

// Probe exchanges one message with an echo port.
func Probe(address string) error { return connectOnce(address, 0) }
