package load

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// backlog is what the server's listen queues hold: no run may measure how a proxy copes with a queue that overflows.
const backlog = 4096

// Server answers on two ports of all addresses: it sends back what it receives on one, and sends a stream on the other
// for as long as it is taken.
type Server struct {
	poller     *poller
	echo, bulk int
	conns      map[int]*served
	buf        []byte
}

// served is a connection.
type served struct {
	bulk   bool
	offset int64 // of the stream
}

// Listen opens the ports.
func Listen(echo, bulk int) (*Server, error) {
	s := &Server{conns: map[int]*served{}, buf: make([]byte, chunk)}
	var err error
	if s.poller, err = newPoller(); err != nil {
		return nil, err
	}
	if s.echo, err = s.listen(echo); err != nil {
		return nil, err
	}
	s.bulk, err = s.listen(bulk)
	return s, err
}

func (s *Server) listen(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Port: port}),
		unix.Listen(fd, backlog),
		s.poller.add(fd, unix.EPOLLIN))
	if err != nil {
		return -1, fmt.Errorf("listen on port %d: %w", port, err)
	}
	return fd, nil
}

// Serve answers until something fails that is not the peer's doing.
func (s *Server) Serve() error {
	for {
		ready, err := s.poller.wait(forever)
		if err != nil {
			return err
		}
		for _, event := range ready {
			fd := int(event.Fd)
			if fd == s.echo || fd == s.bulk {
				err = s.accept(fd)
			} else {
				s.serve(fd, event.Events)
			}
			if err != nil {
				return err
			}
		}
	}
}

func (s *Server) accept(listener int) error {
	fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	switch err {
	case nil:
	case unix.EAGAIN, unix.ECONNABORTED, unix.EINTR:
		return nil
	default:
		return fmt.Errorf("accept: %w", err)
	}
	events := uint32(unix.EPOLLIN)
	if listener == s.bulk {
		events = unix.EPOLLOUT | unix.EPOLLRDHUP
	}
	s.conns[fd] = &served{bulk: listener == s.bulk}
	return s.poller.add(fd, events)
}

// serve closes the connection once its peer has, and if it takes less than it is sent back: then the peer fails.
func (s *Server) serve(fd int, events uint32) {
	var ok bool
	if c := s.conns[fd]; c.bulk {
		ok = events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) == 0 && c.send(fd)
	} else {
		ok = s.answer(fd)
	}
	if !ok {
		delete(s.conns, fd)
		_ = unix.Close(fd)
	}
}

func (s *Server) answer(fd int) bool {
	n, err := unix.Read(fd, s.buf)
	if err == unix.EAGAIN || err == unix.EINTR {
		return true
	}
	if err != nil || n == 0 {
		return false
	}
	wrote, err := unix.Write(fd, s.buf[:n])
	return err == nil && wrote == n
}

func (c *served) send(fd int) bool {
	place := c.offset % streamPeriod
	n, err := unix.Write(fd, stream[place:min(place+chunk, streamPeriod)])
	if err == unix.EAGAIN || err == unix.EINTR {
		return true
	}
	c.offset += int64(max(0, n))
	return err == nil
}
