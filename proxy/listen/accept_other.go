//go:build !linux || portable

package listen

import (
	"sync"
	"time"

	"tpa.dev/tpa/proxy/tcp"
)

// lastCall is for how long Close goes on accepting what has queued up.
const lastCall = 10 * time.Millisecond

// Listener is an open port. It accepts in a goroutine.
type Listener struct {
	l       *tcp.Listener
	serve   func(*tcp.Conn)
	onError func(error)

	close  sync.Once
	closed chan struct{} // Close was called
	ended  chan struct{} // the accept loop is over
}

func start(l *tcp.Listener, serve func(*tcp.Conn), onError func(error)) (*Listener, error) {
	lis := &Listener{l: l, serve: serve, onError: onError, closed: make(chan struct{}), ended: make(chan struct{})}
	go lis.acceptLoop()
	return lis, nil
}

// Close accepts what has already queued up, closes the port and waits for the accept loop to end.
func (l *Listener) Close() {
	l.close.Do(func() {
		close(l.closed)
		_ = l.l.SetDeadline(time.Now().Add(lastCall))
	})
	<-l.ended
}

func (l *Listener) acceptLoop() {
	defer close(l.ended)
	defer l.l.Close()
	var wait time.Duration
	for {
		c, err := l.l.Accept()
		if err == nil {
			wait = 0
			l.serve(c)
			continue
		}
		select {
		case <-l.closed:
			return
		default:
		}
		wait = l.failed(err, wait)
		l.sleep(wait)
	}
}

// sleep waits for d, or less if the listener is closed meanwhile.
func (l *Listener) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.closed:
	}
}
