//go:build !portable

package hold

import (
	"sync"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp"
)

// Watch calls gone once if the client leaves, soon after it does, from the connection's loop, which gone must not keep
// waiting. stop ends that; it must be called before the connection is used otherwise. A call of gone may be under way when
// it returns.
//
// If the system refuses to watch (no memory left), the connection is held unwatched.
func Watch(conn *tcp.Conn, gone func()) (stop func()) {
	w := &watch{conn: conn, gone: gone}
	if err := conn.Notify(w); err != nil {
		return func() {}
	}
	return w.end
}

// watch waits for one client to leave.
type watch struct {
	conn *tcp.Conn
	gone func()

	mu    sync.Mutex // held while conn is looked at
	ended bool
}

// Ready is told of the events of conn.
func (w *watch) Ready(events tcp.Events) {
	if w.left(events) {
		w.gone()
	}
}

// left reports, once, that the client has gone. Its FIN alone does not mean that, if it has sent something before.
func (w *watch) left(events tcp.Events) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || events&tcp.Ending == 0 {
		return false
	}
	if events&(unix.EPOLLERR|unix.EPOLLHUP) == 0 {
		if _, err := peek(w.conn); err == nil {
			return false
		}
	}
	w.ended = true
	return true
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
}
