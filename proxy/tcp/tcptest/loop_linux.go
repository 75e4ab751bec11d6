//go:build !portable

package tcptest

import (
	"sync"
	"testing"

	"tpa.dev/tpa/proxy/tcp"
)

// HandlerFunc is a function as a Handler.
type HandlerFunc func(tcp.Events)

// Ready calls f.
func (f HandlerFunc) Ready(events tcp.Events) { f(events) }

// HoldUp stops the only one of loops, between two events, until release: what happens meanwhile, the loop learns of at
// once. After release has been called and HoldUp has returned again, the loop is through with all that it knew before.
func HoldUp(tb testing.TB, loops *tcp.Loops) (release func()) {
	tb.Helper()
	held, free := make(chan struct{}), make(chan struct{})
	near, _ := Pair(tb, loops)
	tb.Cleanup(near.Close)
	var once sync.Once
	err := near.Notify(HandlerFunc(func(tcp.Events) {
		once.Do(func() {
			close(held)
			<-free
		})
	}))
	if err != nil {
		tb.Fatal(err)
	}
	<-held
	release = sync.OnceFunc(func() { close(free) })
	tb.Cleanup(release) // before the loops end, in a test that has failed
	return release
}

// LoopPair returns both ends of a connection, each on one of the loops in turn.
func LoopPair(tb testing.TB, loops *tcp.Loops) (near, far *tcp.Conn) {
	tb.Helper()
	l := Listener(tb, loops)
	defer l.Close()
	far, err := tcp.Dial(tb.Context(), loops.Next(), Loopback(l.Port()), Patience)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(far.Close)
	near = NextConn(tb, l)
	tb.Cleanup(near.Close)
	return near, far
}
