//go:build !portable

package relay

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pipeSize is the most that an unprivileged user may ask for (fs.pipe-max-size).
	pipeSize = 1 << 20
	// maxPipes keeps below the 64 MiB of pipe that one unprivileged user may have (fs.pipe-user-pages-soft: 64 pipes
	// of 1 MiB; later ones get 8 KiB, which is slower than copying).
	maxPipes = 32
	// pipePause is for how long no more pipes are asked for after the system has refused one.
	pipePause = 10 * time.Second
)

type pipe struct{ r, w int }

// The pipes belong to the process, because the limit does: tokens bounds how many there are, idle keeps the empty ones.
var (
	tokens = make(chan struct{}, maxPipes)
	idle   = make(chan *pipe, maxPipes)

	// refused is when the system last refused a pipe, in Unix nanoseconds: other proxies of the same user on this node may
	// have used up what it may have, and may give it back.
	refused atomic.Int64
)

// takePipe returns an empty large pipe, or nil if all are in use: copying is the better choice then.
func takePipe() *pipe {
	select {
	case p := <-idle:
		return p
	default:
	}
	if time.Since(time.Unix(0, refused.Load())) < pipePause {
		return nil
	}
	select {
	case tokens <- struct{}{}:
	default:
		return nil
	}
	p := newPipe()
	if p == nil {
		refused.Store(time.Now().UnixNano())
		<-tokens
	}
	return p
}

// newPipe returns a large pipe, or nil if the system has none.
func newPipe() *pipe {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil
	}
	p := &pipe{r: fds[0], w: fds[1]}
	if _, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, pipeSize); err != nil {
		_ = unix.Close(p.r)
		_ = unix.Close(p.w)
		return nil
	}
	return p
}

// givePipe takes a pipe back. One that still holds bytes of a dead connection is of no use to another.
func givePipe(p *pipe, empty bool) {
	if !empty {
		p.close()
		return
	}
	idle <- p // has room for all
}

func (p *pipe) close() {
	_ = unix.Close(p.r)
	_ = unix.Close(p.w)
	<-tokens
}
