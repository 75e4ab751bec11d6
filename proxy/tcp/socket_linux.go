//go:build !portable

package tcp

import "golang.org/x/sys/unix"

// socket is a descriptor that a loop can watch.
type socket struct {
	fd   int
	slot uint32 // of loop; 0: not registered
	loop *Loop
}

// Loop returns the loop that the socket belongs to.
func (s *socket) Loop() *Loop { return s.loop }

// FD returns the descriptor, for system calls that do not wait. It is the owner's to use until it is closed.
func (s *socket) FD() int { return s.fd }

// Notify has h told of what happens from now on, what is the case now first, be it before Notify returns. A handler that
// was told before may still be told of one more event.
func (s *socket) Notify(h Handler) error {
	if s.slot != 0 {
		return s.loop.hand(s.fd, s.slot, h)
	}
	return s.loop.register(s, h)
}

// Close closes the descriptor. Of a connection, what was written still arrives; of a port, the kernel resets what it has
// completed and not handed over. Only once, and not after Abort.
func (s *socket) Close() {
	if s.slot != 0 {
		s.loop.forget(s.slot)
	}
	_ = unix.Close(s.fd)
}
