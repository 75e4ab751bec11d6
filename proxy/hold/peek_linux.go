package hold

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// FirstByte waits until the client has sent a byte, which stays unread. It returns an error that wraps ErrGone if the
// client leaves first, and another if the connection is closed here or its read deadline passes.
func FirstByte(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var gone error
	err = raw.Read(func(fd uintptr) bool {
		sent, err := peek(int(fd))
		gone = err
		return sent || err != nil
	})
	if err != nil {
		return err
	}
	return gone
}

// peek reports whether the client has sent a byte, or an error if it never will.
func peek(fd int) (sent bool, gone error) {
	var b [1]byte
	for {
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
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
