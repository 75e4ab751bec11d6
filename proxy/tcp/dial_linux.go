//go:build !portable

package tcp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Connect connects to addr without waiting. done is called once with the outcome: before Connect returns if it is known
// by then, otherwise from the loop, which done must not keep waiting; or, when timeout is over or ctx ends, from another
// goroutine. The error is a *net.OpError; of an end of ctx it wraps the cause, of a time-out os.ErrDeadlineExceeded.
func Connect(ctx context.Context, l *Loop, addr netip.AddrPort, timeout time.Duration, done func(*Conn, error)) {
	w := &connecting{addr: addr, done: done}
	if ctx.Err() != nil {
		w.finish(context.Cause(ctx))
		return
	}
	fd, err := startConnect(addr, sourcePorts{firstSource, lastSource})
	if err != nil {
		w.finish(err)
		return
	}
	w.conn = &Conn{socket: socket{fd: fd, loop: l}, remote: addr}
	if connected(fd) {
		w.finish(nil)
	} else {
		w.wait(ctx, timeout)
	}
}

// connected reports whether a connect has succeeded. Towards a peer on the same machine it has when the call returns,
// whatever that says: the kernel has done the handshake meanwhile.
func connected(fd int) bool {
	state := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(state, 0)
	return n == 1 && err == nil && state[0].Revents == unix.POLLOUT
}

// connecting is a connect under way.
type connecting struct {
	addr netip.AddrPort
	conn *Conn
	done func(*Conn, error)

	mu     sync.Mutex
	over   bool
	timer  *time.Timer
	detach func() bool // from the context
}

func (w *connecting) wait(ctx context.Context, timeout time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(timeout, func() { w.end(func() error { return os.NewSyscallError("connect", os.ErrDeadlineExceeded) }) })
	w.detach = context.AfterFunc(ctx, func() { w.end(func() error { return fmt.Errorf("connect: %w", context.Cause(ctx)) }) })
	if err := w.conn.Notify(w); err != nil {
		go w.end(func() error { return err })
	}
}

// Ready is told by the loop that the connect has ended.
func (w *connecting) Ready(Events) {
	w.end(func() error { return os.NewSyscallError("connect", w.conn.Failure()) })
}

// end finishes a connect that was waited for, unless somebody else has. why is called only if not, while conn is open.
func (w *connecting) end(why func() error) {
	w.mu.Lock()
	if w.over {
		w.mu.Unlock()
		return
	}
	w.over = true
	w.timer.Stop()
	w.detach()
	err := why()
	w.mu.Unlock()
	w.finish(err)
}

func (w *connecting) finish(err error) {
	if err == nil {
		w.done(w.conn, nil)
		return
	}
	if w.conn != nil {
		w.conn.Close()
	}
	w.done(nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(w.addr), Err: err})
}
