package listen

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Keep-alive of accepted connections, in seconds: a client that has vanished without a word is found after about two
// minutes. Until then it keeps its target awake.
const (
	keepAliveIdle     = 60
	keepAliveInterval = 15
	keepAliveCount    = 4
)

// control sets on the listener what accepted sockets inherit.
func control(_, _ string, raw syscall.RawConn) error {
	var set error
	err := raw.Control(func(fd uintptr) {
		set = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveIdle),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAliveInterval),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveCount),
		)
	})
	return errors.Join(err, set)
}
