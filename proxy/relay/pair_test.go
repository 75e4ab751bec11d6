package relay

import (
	"io"
	"net"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// pair is a relay under test, seen from outside.
type pair struct {
	loops           *tcp.Loops
	client, backend *net.TCPConn // the peers' ends
	session         *Session
	act             Activity
	result          chan Result
}

func start(tb testing.TB) *pair {
	tb.Helper()
	return startOn(tb, tcptest.Loops(tb, 1))
}

func startOn(tb testing.TB, loops *tcp.Loops) *pair {
	tb.Helper()
	p := &pair{loops: loops, result: make(chan Result, 1)}
	front, client := tcptest.Pair(tb, loops)
	back, backend := tcptest.Pair(tb, loops)
	p.client, p.backend = client, backend
	p.session = Start(front, back, &p.act, func(r Result) { p.result <- r })
	tb.Cleanup(p.session.Abort)
	return p
}

func (p *pair) wait(tb testing.TB) Result {
	tb.Helper()
	select {
	case r := <-p.result:
		return r
	case <-time.After(tcptest.Patience):
		tb.Fatal("the relay does not end")
		return Result{}
	}
}

// both runs a test as it is written and with client and backend changing places, each for connections that have only just
// begun, and for ones that have carried a sustained flow each way.
func both(t *testing.T, test func(t *testing.T, p *pair, a, b *net.TCPConn, errA error)) {
	for _, before := range []struct {
		name string
		do   func(*testing.T, *pair)
	}{{"small", func(*testing.T, *pair) {}}, {"sustained", sustain}} {
		t.Run("client/"+before.name, func(t *testing.T) {
			p := start(t)
			before.do(t, p)
			test(t, p, p.client, p.backend, ErrClient)
		})
		t.Run("backend/"+before.name, func(t *testing.T) {
			p := start(t)
			before.do(t, p)
			test(t, p, p.backend, p.client, ErrBackend)
		})
	}
}

// sustain sends as much both ways as it takes for both directions to be moved as sustained flows from then on.
func sustain(t *testing.T, p *pair) {
	t.Helper()
	for end := time.Now().Add(tcptest.Patience); !p.sustained(); {
		carry(t, p.client, p.backend)
		carry(t, p.backend, p.client)
		if time.Now().After(end) {
			t.Fatal("the flows do not become sustained ones")
		}
	}
}

func carry(t *testing.T, from, to *net.TCPConn) {
	t.Helper()
	const size = 1 << 20
	wrote := make(chan error)
	go func() {
		_, err := from.Write(make([]byte, size))
		wrote <- err
	}()
	if n, err := io.CopyN(io.Discard, to, size); err != nil {
		t.Fatalf("received %d of %d, %v", n, size, err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}
