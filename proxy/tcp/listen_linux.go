//go:build !portable

package tcp

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Listener is an open port. Its methods may be called at once by many, Accept by one.
type Listener struct {
	file  *os.File // Go's own poller waits for it
	raw   syscall.RawConn
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
	file, err := l.File()
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &Listener{file: file, raw: raw, port: uint16(l.Addr().(*net.TCPAddr).Port), loops: loops}, nil
}

// Port returns the port that is listened on.
func (l *Listener) Port() uint16 { return l.port }

// Accept waits for a connection. It asks the kernel for nothing but the connection: who needs this end's address, or
// options of its own, asks later.
func (l *Listener) Accept() (*Conn, error) {
	var fd int
	var sa unix.Sockaddr
	var failed error
	err := l.raw.Read(func(listening uintptr) bool {
		for {
			fd, sa, failed = unix.Accept4(int(listening), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if !errors.Is(failed, unix.EINTR) && !errors.Is(failed, unix.ECONNABORTED) {
				return !errors.Is(failed, unix.EAGAIN)
			}
		}
	})
	switch {
	case err != nil:
		return nil, err
	case failed != nil:
		return nil, os.NewSyscallError("accept4", failed)
	}
	return &Conn{fd: fd, loop: l.loops.Next(), remote: addrPort(sa)}, nil
}

// SetDeadline makes Accept fail with os.ErrDeadlineExceeded from then on.
func (l *Listener) SetDeadline(t time.Time) error { return l.file.SetReadDeadline(t) }

// Close closes the port. The kernel resets what it has completed and not handed over.
func (l *Listener) Close() error { return l.file.Close() }
