//go:build !portable

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

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
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
	loops := tcptest.Loops(t, 1)
	l1, err1 := tcp.Listen(0, loops)
	l2, err2 := tcp.Listen(0, loops)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	defer l1.Close()
	defer l2.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), peerEnv+"="+tcptest.Loopback(l1.Port()).String()+","+tcptest.Loopback(l2.Port()).String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	client, backend := tcptest.NextConn(t, l1), tcptest.NextConn(t, l2)
	before := bytesRead(t)
	var act Activity
	result := make(chan Result, 1)
	Start(client, backend, &act, func(r Result) { result <- r })
	r := <-result
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
	p.session.Abort()
	p.wait(t)
}

// While a direction waits for a destination that does not read, nobody reads from its source either. A reset of the
// source must be noticed all the same.
func TestSourceGoneWhileDestinationStalls(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, _ *net.TCPConn, errA error) {
		fill(t, a)
		tcptest.Reset(a)
		if r := p.wait(t); !errors.Is(r.Err, errA) {
			t.Errorf("error %v, want %v", r.Err, errA)
		}
	})
}

// A destination that reads again after a while gets everything.
func TestDestinationStallsAndGoesOn(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, _ error) {
		sent := fill(t, a)
		_ = a.SetWriteDeadline(time.Time{})
		_ = a.CloseWrite()
		if got, err := io.Copy(io.Discard, b); got != sent || err != nil {
			t.Errorf("received %d, %v; sent %d", got, err, sent)
		}
		_ = b.Close()
		if r := p.wait(t); r.Err != nil || r.ToBackend+r.ToClient != sent || p.act.ToBackend()+p.act.ToClient() != sent {
			t.Errorf("result %+v, sent %d", r, sent)
		}
	})
}

// fill writes until every buffer on the way to a peer that does not read is full, and returns how much that was.
func fill(t *testing.T, c *net.TCPConn) (sent int64) {
	t.Helper()
	chunk := make([]byte, 64<<10)
	for {
		_ = c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := c.Write(chunk)
		sent += int64(n)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return sent
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
