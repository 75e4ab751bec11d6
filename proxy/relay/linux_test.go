package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/relay/tcptest"
)

func cork(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 1) })
}

const (
	peerEnv  = "RELAY_TEST_PEER" // "address of the client's side, address of the backend's side"
	peerSize = 256 << 20
)

// peer is what the test binary does as a subprocess: both peers of a relay, so that the relay's process does nothing
// but relay.
func peer(addrs string) int {
	in, out, _ := strings.Cut(addrs, ",")
	client, err1 := net.Dial("tcp", in)
	backend, err2 := net.Dial("tcp", out)
	if err1 != nil || err2 != nil {
		return 1
	}
	go func() {
		_, _ = io.CopyN(client, zeros{}, peerSize)
		_ = client.(*net.TCPConn).CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, backend); n != peerSize || err != nil {
		return 1
	}
	return 0
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// The kernel counts the bytes that a process reads itself (rchar), which spliced ones are not.
func TestSustainedFlowIsSpliced(t *testing.T) {
	l1, addr1 := tcptest.Listen(t)
	l2, addr2 := tcptest.Listen(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), peerEnv+"="+addr1.String()+","+addr2.String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	client, backend := tcptest.Accept(t, l1), tcptest.Accept(t, l2)
	before := bytesRead(t)
	var act Activity
	r := Relay(client, backend, &act)
	copied := bytesRead(t) - before
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if r.ToBackend != peerSize || r.Err != nil {
		t.Fatalf("result %+v", r)
	}
	t.Logf("%d of %d bytes were copied, the rest spliced", copied, peerSize)
	if copied > peerSize/10 {
		t.Errorf("%d of %d bytes were copied; more than a tenth is not a spliced flow", copied, peerSize)
	}
}

func bytesRead(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip(err)
	}
	var n int64
	if _, err := fmt.Sscanf(string(b), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPipesAreBoundedAndReused(t *testing.T) {
	var taken []*pipe
	for range maxPipes {
		p := takePipe()
		if p == nil {
			t.Skip("this user may not have that many large pipes")
		}
		taken = append(taken, p)
	}
	if p := takePipe(); p != nil {
		t.Error("more than maxPipes pipes")
	}
	givePipe(taken[0], true)
	if p := takePipe(); p != taken[0] {
		t.Error("an empty pipe is not used again")
	}
	fds := tcptest.Descriptors(t)
	for _, p := range taken {
		givePipe(p, false)
	}
	if now := tcptest.Descriptors(t); now != fds-2*maxPipes {
		t.Errorf("%d descriptors after closing %d pipes, %d before", now, maxPipes, fds)
	}
}

// An idle connection must hold neither a pipe nor a buffer, also after a sustained flow.
func TestIdleHoldsNoPipe(t *testing.T) {
	p := start(t)
	chunk := strings.Repeat("x", 4<<20)
	go func() { _, _ = io.WriteString(p.client, chunk) }()
	tcptest.WantRead(t, p.backend, chunk)
	tcptest.Eventually(t, "all pipes given back", func() bool { return len(tokens) == len(idle) })
	Abort(p.front, p.back)
	p.wait(t)
}

// While a direction waits for a destination that does not read, nobody reads from its source either, so that a reset of
// the source must be looked for.
func TestSourceGoneWhileDestinationStalls(t *testing.T) {
	for i, want := range []error{ErrClient, ErrBackend} {
		t.Run(want.Error(), func(t *testing.T) {
			near1, client := tcptest.Pair(t)
			near2, backend := tcptest.Pair(t)
			var act Activity
			s := newSession(near1, near2, &act)
			s.up.flow.stall, s.down.flow.stall = 10*time.Millisecond, 10*time.Millisecond
			result := make(chan Result)
			go func() { result <- s.relay() }()
			src := []*net.TCPConn{client, backend}[i]
			chunk := make([]byte, 64<<10)
			for { // fills every buffer on the way
				_ = src.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
				if _, err := src.Write(chunk); err != nil {
					break
				}
			}
			tcptest.Reset(src)
			select {
			case r := <-result:
				if !errors.Is(r.Err, want) {
					t.Errorf("error %v, want %v", r.Err, want)
				}
			case <-time.After(tcptest.Patience):
				t.Error("the reset goes unnoticed")
				Abort(near1, near2)
				<-result
			}
		})
	}
}

// A destination that reads again after a while gets everything, and its deadline is gone.
func TestDestinationStallsAndGoesOn(t *testing.T) {
	near1, client := tcptest.Pair(t)
	near2, backend := tcptest.Pair(t)
	var act Activity
	s := newSession(near1, near2, &act)
	s.up.flow.stall = time.Millisecond
	result := make(chan Result)
	go func() { result <- s.relay() }()
	var sent int64
	chunk := make([]byte, 64<<10)
	for {
		_ = client.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		n, err := client.Write(chunk)
		sent += int64(n)
		if err != nil {
			break
		}
	}
	_ = client.CloseWrite()
	if got, err := io.Copy(io.Discard, backend); got != sent || err != nil {
		t.Errorf("received %d, %v; sent %d", got, err, sent)
	}
	_ = backend.Close()
	if r := <-result; r.Err != nil || r.ToBackend != sent || act.ToBackend() != sent {
		t.Errorf("result %+v, sent %d", r, sent)
	}
}

// A half-close is no error, also if the other half closes too.
func TestPendingErrorSeesReset(t *testing.T) {
	near, far := tcptest.Pair(t)
	if err := socketError(near); err != nil {
		t.Fatalf("error %v on a connection that works", err)
	}
	_ = far.CloseWrite()
	tcptest.WantEOF(t, near)
	if err := socketError(near); err != nil {
		t.Fatalf("error %v after a half-close", err)
	}
	tcptest.Reset(far)
	var err error
	tcptest.Eventually(t, "reset seen", func() bool { err = socketError(near); return err != nil })
	t.Log(err)
}
