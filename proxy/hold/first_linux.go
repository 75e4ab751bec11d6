//go:build !portable

package hold

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp"
)

// FirstByte waits until the client has sent a byte, which stays unread. It returns an error that wraps ErrGone if the
// client leaves first, and the cause of ctx if that ends.
func FirstByte(ctx context.Context, conn *tcp.Conn) error {
	changed := make(changes, 1)
	if err := conn.Notify(changed); err != nil {
		return err
	}
	for {
		if sent, err := peek(conn); sent || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// changes gets a value when something has happened to a connection.
type changes chan struct{}

func (c changes) Ready(tcp.Events) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// peek reports whether the client has sent a byte, or an error if it never will.
func peek(conn *tcp.Conn) (sent bool, gone error) {
	var b [1]byte
	for {
		n, _, err := unix.Recvfrom(conn.FD(), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("%w: %w", ErrGone, os.NewSyscallError("recv", err))
		case n == 0:
			return false, fmt.Errorf("%w: closed without a byte", ErrGone)
		default:
			return true, nil
		}
	}
}
