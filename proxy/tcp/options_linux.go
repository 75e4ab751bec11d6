//go:build !portable

package tcp

import (
	"os"

	"golang.org/x/sys/unix"
)

// Keep-alive, in seconds: a peer that has vanished without a word is found after about two minutes. Until then its
// connection keeps the target awake.
const (
	keepAliveIdle     = 60
	keepAliveInterval = 15
	keepAliveCount    = 4
)

// options sets what every connection needs. A connection inherits them from the listener that accepted it, which saves
// five system calls.
func options(fd int) error {
	for _, o := range [...]struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1}, // what comes in pieces goes on in pieces: the peers know why
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveIdle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAliveInterval},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveCount},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}
