package relay

import (
	"cmp"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stallCheck is how often a direction that waits for a slow reader looks whether its source still exists. Nothing
// else would tell: a reset of the source wakes only those who read from it.
const stallCheck = 15 * time.Second

// flow moves the bytes of one direction. It borrows a buffer or a pipe when there is something to move, and gives it
// back before it waits for more.
type flow struct {
	buf  *buffer
	pipe *pipe
	hot  bool // the last move was large: prefer a pipe
	n    int  // bytes in buf or pipe
	off  int  // of which dst has taken this many
	err  error

	patient bool          // dst has a write deadline, so that drain may wait
	stall   time.Duration // 0 means stallCheck
}

// pump moves bytes from src to dst until src ends (nil, nil), reading fails or writing fails.
func (d *direction) pump() (readErr, writeErr error) {
	src, err := d.src.SyscallConn()
	if err != nil {
		return err, nil
	}
	dst, err := d.dst.SyscallConn()
	if err != nil {
		return nil, err
	}
	defer d.flow.drop()
	fill, drain := d.flow.fill, d.drain
	for {
		if err := src.Read(fill); err != nil {
			return err, nil
		}
		if d.flow.err != nil {
			return d.flow.err, nil
		}
		if d.flow.n == 0 {
			return nil, nil
		}
		if err := d.write(dst, drain); err != nil {
			return nil, err
		}
	}
}

// write hands dst what fill has read, and keeps an eye on src while dst does not take it.
func (d *direction) write(dst syscall.RawConn, drain func(uintptr) bool) error {
	f := &d.flow
	for {
		err := dst.Write(drain)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if gone := socketError(d.src); gone != nil {
				d.s.fail(d.srcErr, gone)
				return gone
			}
		case err != nil:
			return err
		case f.err != nil:
			return f.err
		case f.off == f.n:
			if f.patient {
				f.patient = false
				_ = d.dst.SetWriteDeadline(time.Time{})
			}
			return nil
		}
		f.patient = true
		_ = d.dst.SetWriteDeadline(time.Now().Add(cmp.Or(f.stall, stallCheck)))
	}
}

// fill reads once. Reading comes first and waiting second, because the runtime's poller reports edges: data and FIN
// may come as one, and only EAGAIN proves that there is nothing left.
func (f *flow) fill(fd uintptr) bool {
	f.n, f.off, f.err = 0, 0, nil
	for {
		n, err := f.read(int(fd))
		switch {
		case err == nil:
			f.n, f.hot = n, n >= bufferSize/2
			return true
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			f.drop()
			return false
		default:
			f.err = os.NewSyscallError("read", err)
			return true
		}
	}
}

func (f *flow) read(fd int) (int, error) {
	if f.pipe == nil && f.hot {
		f.pipe = takePipe()
	}
	if f.pipe != nil {
		n, err := unix.Splice(fd, nil, f.pipe.w, nil, pipeSize, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		return int(n), err
	}
	if f.buf == nil {
		f.buf = takeBuffer()
	}
	return unix.Read(fd, f.buf[:])
}

// drain gives dst what it takes now. If something is left it returns to write for a deadline first, and waits after.
func (d *direction) drain(fd uintptr) bool {
	f := &d.flow
	d.mu.Lock()
	defer d.mu.Unlock()
	start := f.off
	defer func() { d.count(f.off - start) }()
	for f.off < f.n {
		n, err := f.write(int(fd))
		switch {
		case err == nil:
			f.off += n
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return !f.patient
		default:
			if f.pipe != nil && errors.Is(err, unix.EPIPE) {
				// A splice that had moved something before it met a reset has kept that to itself: the next one, this,
				// only learns that the connection is no more. Without proof of a close in good order it is a reset.
				err = unix.ECONNRESET
			}
			f.err = os.NewSyscallError("write", err)
			d.broken = err
			return true
		}
	}
	return true
}

func (f *flow) write(fd int) (int, error) {
	if f.pipe != nil {
		n, err := unix.Splice(f.pipe.r, nil, fd, nil, f.n-f.off, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		return int(n), err
	}
	return unix.Write(fd, f.buf[f.off:f.n])
}

// drop gives back what the flow has borrowed.
func (f *flow) drop() {
	if f.buf != nil {
		buffers.Put(f.buf)
		f.buf = nil
	}
	if f.pipe != nil {
		givePipe(f.pipe, f.off == f.n)
		f.pipe = nil
	}
}

// awaitReset waits, without reading, until src fails (the error) or release is called or src is closed (nil).
func (d *direction) awaitReset() error {
	src, err := d.src.SyscallConn()
	if err != nil {
		return nil
	}
	var gone error
	_ = src.Read(func(fd uintptr) bool {
		gone = pendingError(int(fd))
		return gone != nil
	})
	return gone
}

// release ends awaitReset.
func (d *direction) release() { _ = d.src.SetReadDeadline(time.Unix(1, 0)) }

func socketError(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var pending error
	if err := raw.Control(func(fd uintptr) { pending = pendingError(int(fd)) }); err != nil {
		return err
	}
	return pending
}

// pendingError returns the error that a socket has met and not reported yet. POLLHUP is not asked for: it also shows a
// connection that both sides have closed in good order.
func pendingError(fd int) error {
	events := []unix.PollFd{{Fd: int32(fd)}}
	if n, err := unix.Poll(events, 0); err != nil || n == 0 || events[0].Revents&unix.POLLERR == 0 {
		return nil
	}
	if errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && errno != 0 {
		return os.NewSyscallError("read", syscall.Errno(errno))
	}
	return nil
}
