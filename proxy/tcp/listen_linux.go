//go:build !portable

package tcp

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listener is an open port.
type Listener struct {
	socket
	port  uint16
	loops *Loops
}

// Listen listens on port, on all addresses of both IP families; 0 picks a free port. Accepted connections belong to the
// loops in turn.
func Listen(port uint16, loops *Loops) (*Listener, error) {
	l, err := listen(port, func(_, _ string, raw syscall.RawConn) error {
		var set error
		err := raw.Control(func(fd uintptr) { set = options(int(fd)) })
		return errors.Join(err, set)
	})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	fd, err := duplicate(l)
	if err != nil {
		return nil, err
	}
	bound := uint16(l.Addr().(*net.TCPAddr).Port)
	return &Listener{socket: socket{fd: fd, loop: loops.Next()}, port: bound, loops: loops}, nil
}

// duplicate returns a descriptor of what net has opened, which stays open when l is closed.
func duplicate(l *net.TCPListener) (fd int, err error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(own uintptr) { fd, failed = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, os.NewSyscallError("fcntl", failed))
}

// Port returns the port that is listened on.
func (l *Listener) Port() uint16 { return l.port }

// Accept returns a connection that has queued up, or ErrNone. It asks the kernel for nothing but the connection: who
// needs this end's address, or options of its own, asks later.
func (l *Listener) Accept() (*Conn, error) {
	for {
		fd, sa, err := syscall.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
			return &Conn{socket: socket{fd: fd, loop: l.loops.Next()}, remote: addrPort(sa)}, nil
		case errors.Is(err, unix.EAGAIN):
			return nil, ErrNone
		case !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ECONNABORTED):
			return nil, os.NewSyscallError("accept4", err)
		}
	}
}
