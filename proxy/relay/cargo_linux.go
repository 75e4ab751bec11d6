//go:build !portable

package relay

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	bufferSize = 64 << 10  // for an exchange
	largeSize  = 256 << 10 // for a sustained flow that finds no pipe
)

// The buffers of the whole process, as they are only held while bytes are on their way.
var (
	buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}
	large   = sync.Pool{New: func() any { return new([largeSize]byte) }}
)

// cargo is bytes on their way, in a buffer or in a pipe, borrowed until drop. The zero value has neither.
type cargo struct {
	buffer *[bufferSize]byte
	large  *[largeSize]byte
	pipe   *pipe
	off, n int32 // the bytes from off to n are still to be written; no read brings more than pipeSize
}

func (c *cargo) empty() bool { return c.off == c.n }

// read reads once from a socket, into a buffer.
func (c *cargo) read(fd int) (int, error) {
	if c.buffer == nil {
		c.buffer = buffers.Get().(*[bufferSize]byte)
	}
	return c.loaded(retry(func() (int, error) { return unix.Read(fd, c.buffer[:]) }))
}

// fill is read for a sustained flow: into a pipe, or a large buffer if none is free.
func (c *cargo) fill(fd int) (int, error) {
	if c.pipe == nil && c.large == nil {
		c.pipe = takePipe()
	}
	if c.pipe != nil {
		n, err := retry(func() (int, error) { return splice(fd, c.pipe.w, pipeSize) })
		if n != 0 || err != nil {
			return c.loaded(n, err)
		}
		c.drop() // this is the end, or else urgent data, which only a read gets past
	}
	return c.readLarge(fd)
}

// readLarge is fill without a pipe.
func (c *cargo) readLarge(fd int) (int, error) {
	if c.large == nil {
		c.large = large.Get().(*[largeSize]byte)
	}
	return c.loaded(retry(func() (int, error) { return unix.Read(fd, c.large[:]) }))
}

func (c *cargo) loaded(n int, err error) (int, error) {
	n = max(n, 0)
	c.off, c.n = 0, int32(n)
	return n, err
}

// write writes until nothing is left or the socket takes no more: EAGAIN.
func (c *cargo) write(fd int) (written int, err error) {
	for !c.empty() {
		n, err := retry(func() (int, error) { return c.writeOnce(fd) })
		if err != nil {
			return written, err
		}
		c.off += int32(n)
		written += n
	}
	return written, nil
}

func (c *cargo) writeOnce(fd int) (int, error) {
	switch {
	case c.pipe != nil:
		n, err := splice(c.pipe.r, fd, int(c.n-c.off))
		if errors.Is(err, unix.EPIPE) {
			// A splice that had moved something before it met a reset has kept that to itself: the next one, this, only
			// learns that the connection is no more. Without proof of a close in good order it is a reset.
			err = unix.ECONNRESET
		}
		return n, err
	case c.large != nil:
		return unix.Write(fd, c.large[c.off:c.n])
	default:
		return unix.Write(fd, c.buffer[c.off:c.n])
	}
}

// drop gives back what was borrowed.
func (c *cargo) drop() {
	if c.buffer != nil {
		buffers.Put(c.buffer)
	}
	if c.large != nil {
		large.Put(c.large)
	}
	if c.pipe != nil {
		givePipe(c.pipe, c.empty())
	}
	*c = cargo{}
}

func splice(from, to, most int) (int, error) {
	n, err := unix.Splice(from, nil, to, nil, most, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	return int(n), err
}

// retry calls again what a signal has interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
