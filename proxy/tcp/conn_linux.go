//go:build !portable

package tcp

import (
	"errors"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Conn is a TCP connection.
type Conn struct {
	socket
	remote netip.AddrPort
}

// Remote returns the peer's address, an IPv4 one as such.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// Local returns this end's address, an IPv4 one as such.
func (c *Conn) Local() (netip.AddrPort, error) {
	sa, err := syscall.Getsockname(c.fd)
	if err != nil {
		return netip.AddrPort{}, os.NewSyscallError("getsockname", err)
	}
	return addrPort(sa), nil
}

// Write writes what the kernel takes at once.
func (c *Conn) Write(p []byte) (int, error) {
	for {
		n, err := unix.Write(c.fd, p)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), os.NewSyscallError("write", err)
		}
	}
}

// CloseWrite tells the peer that nothing more will be sent.
func (c *Conn) CloseWrite() { _ = unix.Shutdown(c.fd, unix.SHUT_WR) }

// Abort closes the connection with a reset, so that the peer does not take what it has read for all there was. Bytes that
// the kernel has not sent yet are lost. Only once, and not after Close.
func (c *Conn) Abort() {
	_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	c.Close()
}

// Failure returns the error that the connection has met and not reported yet, nil if there is none. It is told once.
func (c *Conn) Failure() error {
	errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return os.NewSyscallError("getsockopt", err)
	case errno != 0:
		return syscall.Errno(errno)
	default:
		return nil
	}
}
