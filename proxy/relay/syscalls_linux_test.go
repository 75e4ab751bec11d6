//go:build !portable

package relay

import (
	"io"
	"net"
	"slices"
	"testing"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// What a short connection may cost: opened, 64 bytes each way, closed in good order.
var perConnection = map[string]int{
	"accept4":     2, // the second finds nobody else: the loop tells of edges
	"socket":      1,
	"setsockopt":  6,
	"bind":        1,
	"connect":     1,
	"ppoll":       1,
	"epoll_ctl":   2,
	"epoll_pwait": 6,
	"read":        4, // twice the bytes, twice the end
	"write":       2,
	"shutdown":    1,
	"close":       2,
	goPoller:      4, // wakes the goroutine that accepts
}

func TestSyscallsOfAConnection(t *testing.T) {
	const n = 100
	backends, addr := tcptest.Listen(t)
	p := startTraced(t, addr)
	message := make([]byte, 64)
	once := func() {
		client := tcptest.Dial(t, p.addr)
		backend := tcptest.Accept(t, backends)
		pass(t, client, backend, message)
		pass(t, backend, client, message)
		_ = client.CloseWrite()
		tcptest.WantEOF(t, backend)
		_ = backend.Close()
		tcptest.WantEOF(t, client)
		_ = client.Close()
	}
	once()
	p.await(t, "ended", 1)
	p.mark(t, "begin")
	for i := range n {
		once()
		p.await(t, "ended", i+2)
	}
	p.mark(t, "end")
	calls := p.between(t, "begin", "end")
	t.Logf("system calls a connection:%s", calls.per(n))
	for name, tally := range calls {
		if most := perConnection[name]; tally.count > most*n {
			t.Errorf("%d connections cost %d %s, at most %d each are expected", n, tally.count, name, most)
		}
	}
}

// A message costs a wait, a read and a write; a connection without one costs nothing.
func TestSyscallsOfARoundTrip(t *testing.T) {
	const n, idle = 1000, 100
	backends, addr := tcptest.Listen(t)
	p := startTraced(t, addr)
	for range idle {
		tcptest.Dial(t, p.addr)
		tcptest.Accept(t, backends)
	}
	client := tcptest.Dial(t, p.addr)
	backend := tcptest.Accept(t, backends)
	message := make([]byte, 64)
	pass(t, client, backend, message)
	pass(t, backend, client, message)
	p.mark(t, "begin")
	for range n {
		pass(t, client, backend, message)
		pass(t, backend, client, message)
	}
	p.mark(t, "end")
	calls := p.between(t, "begin", "end")
	t.Logf("system calls a round trip:%s", calls.per(n))
	for _, name := range []string{"epoll_pwait", "read", "write"} {
		if count := calls.of(name).count; count < n || count > 2*n+1 {
			t.Errorf("%d round trips cost %d %s, want one for each direction", n, count, name)
		}
	}
	if on := calls.of("read").on; len(on) != 2 {
		t.Errorf("%d connections were read from, want the two that carry something", len(on))
	}
	for name, tally := range calls {
		// One accept4 may be late: the loop was told again of a connection that it had accepted already.
		if !slices.Contains([]string{"epoll_pwait", "read", "write", goPoller}, name) && tally.count > 1 {
			t.Errorf("a message costs %s as well", name)
		}
	}
}

func TestSyscallsOfASustainedFlow(t *testing.T) {
	const size = 256 << 20
	backends, addr := tcptest.Listen(t)
	p := startTraced(t, addr)
	client := tcptest.Dial(t, p.addr)
	backend := tcptest.Accept(t, backends)
	pass(t, client, backend, make([]byte, 64))
	p.mark(t, "begin")
	pass(t, client, backend, make([]byte, size))
	p.mark(t, "end")
	calls := p.between(t, "begin", "end")
	t.Logf("system calls for %d MiB:%s", size>>20, calls.per(1))
	splice := calls.of("splice")
	if splice.moved < 2*size*98/100 {
		t.Errorf("%d bytes were spliced, in and out; %d are all", splice.moved, 2*size)
	}
	if each := splice.moved / int64(max(splice.count, 1)); each < 128<<10 {
		t.Errorf("a splice moves %d bytes; less than 128 KiB is not worth the call", each)
	}
	// The beginning, and what comes in drops when the sender has to wait for a CPU.
	if copied := calls.of("read").moved; copied > size/100 {
		t.Errorf("%d of %d bytes were copied", copied, size)
	}
}

// pass sends message and waits until it has arrived.
func pass(t *testing.T, from, to *net.TCPConn, message []byte) {
	t.Helper()
	wrote := make(chan error, 1)
	send := func() {
		_, err := from.Write(message)
		wrote <- err
	}
	if len(message) > 4096 { // more than fits on the way
		go send()
	} else {
		send()
	}
	if n, err := io.CopyN(io.Discard, onlyReader{to}, int64(len(message))); err != nil {
		t.Fatalf("received %d of %d bytes, %v", n, len(message), err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}
