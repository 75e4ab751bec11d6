//go:build !portable

package tcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Dial connects to addr, for at most timeout and until ctx ends. The error is a *net.OpError; of an end of ctx it wraps
// the cause, of a time-out os.ErrDeadlineExceeded.
func Dial(ctx context.Context, l *Loop, addr netip.AddrPort, timeout time.Duration) (*Conn, error) {
	c, err := dial(ctx, l, addr, timeout)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
	}
	return c, nil
}

func dial(ctx context.Context, l *Loop, addr netip.AddrPort, timeout time.Duration) (*Conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	family, sa := sockaddr(addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &Conn{socket: socket{fd: fd, loop: l}, remote: addr}
	if err := options(fd); err != nil {
		c.Close()
		return nil, err
	}
	err = unix.Connect(fd, sa)
	if errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EINTR) {
		err = c.connected(ctx, timeout)
	} else if err != nil {
		err = os.NewSyscallError("connect", err)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// connected waits for the end of a connect. Towards a peer on the same machine that is reached already: the kernel has
// done the handshake within the call, and all that is left is to see it.
func (c *Conn) connected(ctx context.Context, timeout time.Duration) error {
	state := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(state, 0); err != nil || n == 0 {
		if err := c.awaitConnect(ctx, timeout); err != nil {
			return err
		}
	} else if state[0].Revents&(unix.POLLERR|unix.POLLHUP) == 0 {
		return nil
	}
	return os.NewSyscallError("connect", c.Failure())
}

func (c *Conn) awaitConnect(ctx context.Context, timeout time.Duration) error {
	done := make(connecting, 1)
	if err := c.Notify(done); err != nil {
		return err
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return fmt.Errorf("connect: %w", os.ErrDeadlineExceeded)
	case <-ctx.Done():
		return fmt.Errorf("connect: %w", context.Cause(ctx))
	}
}

// connecting gets a value when a connect has ended.
type connecting chan struct{}

func (done connecting) Ready(Events) {
	select {
	case done <- struct{}{}:
	default:
	}
}
