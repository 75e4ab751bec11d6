package relay

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
	"weak"

	"golang.org/x/sync/errgroup"

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// However connections end, nothing of them is left: no goroutine, descriptor or pipe, and no session in a loop.
func TestConnectionsLeaveNothing(t *testing.T) {
	const workers, cycles = 8, 10_000
	loops := tcptest.Loops(t, 2)
	run := func(cycles int) {
		t.Helper()
		var g errgroup.Group
		for w := range workers {
			c := cycler{loops: loops, random: rand.New(rand.NewPCG(4, uint64(w)))}
			g.Go(func() error { return c.run(t, cycles/workers) })
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	run(10 * workers) // what is made once: poller, pools
	fds, goroutines := descriptors(t), runtime.NumGoroutine()
	run(cycles)
	tcptest.Eventually(t, "goroutines ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	if n := pipesTaken(); n != 0 {
		t.Errorf("%d pipes are still taken", n)
	}
	if now := descriptors(t); now > fds {
		t.Errorf("%d descriptors, %d before", now, fds)
	}
}

// cycler opens connections through a relay and ends them, each in one of many ways.
type cycler struct {
	loops  *tcp.Loops
	random *rand.Rand
	act    Activity
	peers  *net.TCPListener
}

func (c *cycler) run(t *testing.T, cycles int) (err error) {
	c.peers, _ = tcptest.Listen(t)
	defer c.peers.Close()
	sessions := make([]weak.Pointer[Session], cycles)
	for i := range sessions {
		if sessions[i], err = c.once(); err != nil {
			return err
		}
	}
	tcptest.Eventually(t, "nobody knows a session", func() bool {
		runtime.GC()
		for _, s := range sessions {
			if s.Value() != nil {
				return false
			}
		}
		return true
	})
	return nil
}

// once opens a connection, ends it in one way or another, and waits for the end of its session.
func (c *cycler) once() (weak.Pointer[Session], error) {
	loop := c.loops.Next()
	front, client, err1 := c.connect(loop)
	back, backend, err2 := c.connect(loop)
	if err := errors.Join(err1, err2); err != nil {
		return weak.Pointer[Session]{}, err
	}
	defer client.Close()
	defer backend.Close()
	ended := make(chan struct{})
	s := Start(front, back, &c.act, func(Result) { close(ended) })
	if err := ways[c.random.IntN(len(ways))](c, s, client, backend); err != nil {
		return weak.Pointer[Session]{}, err
	}
	select {
	case <-ended:
		return weak.Make(s), nil
	case <-time.After(tcptest.Patience):
		return weak.Pointer[Session]{}, errors.New("a session does not end")
	}
}

// ways are how connections may end.
var ways = []func(c *cycler, s *Session, client, backend *net.TCPConn) error{
	func(_ *cycler, _ *Session, client, backend *net.TCPConn) error { // in good order
		_, _ = client.Write([]byte("x"))
		_ = client.CloseWrite()
		if err := drain(backend); err != nil {
			return err
		}
		_ = backend.Close()
		return drain(client)
	},
	func(_ *cycler, _ *Session, client, backend *net.TCPConn) error { // both at once
		return errors.Join(client.Close(), backend.Close())
	},
	func(_ *cycler, _ *Session, client, _ *net.TCPConn) error {
		tcptest.Reset(client)
		return nil
	},
	func(_ *cycler, _ *Session, client, backend *net.TCPConn) error { // reset after a half-close
		_ = client.CloseWrite()
		err := drain(backend)
		tcptest.Reset(backend)
		return err
	},
	func(c *cycler, _ *Session, client, backend *net.TCPConn) error { // reset by one who does not read
		stop := c.flood(client)
		defer stop()
		_, err := backend.Read(make([]byte, 1))
		tcptest.Reset(backend)
		return err
	},
	func(c *cycler, s *Session, client, backend *net.TCPConn) error { // aborted at any moment of a sustained flow
		stop := c.flood(client)
		defer stop()
		time.AfterFunc(time.Duration(c.random.Int64N(int64(time.Millisecond))), s.Abort)
		return drain(backend)
	},
	func(_ *cycler, s *Session, client, backend *net.TCPConn) error { // aborted while others end it
		_, _ = client.Write([]byte("x"))
		go s.Abort()
		return errors.Join(backend.Close(), client.Close())
	},
}

// drain reads until the connection ends in any way.
func drain(c *net.TCPConn) error {
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// flood sends until stop, or until the connection fails.
func (c *cycler) flood(to *net.TCPConn) (stop func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		chunk := make([]byte, 64<<10)
		for {
			if _, err := to.Write(chunk); err != nil {
				return
			}
		}
	}()
	return func() {
		_ = to.Close()
		<-ended
	}
}

// connect returns both ends of a new connection, the near one on loop.
func (c *cycler) connect(loop *tcp.Loop) (near *tcp.Conn, far *net.TCPConn, err error) {
	near, err = tcp.Dial(context.Background(), loop, c.peers.Addr().(*net.TCPAddr).AddrPort(), tcptest.Patience)
	if err != nil {
		return nil, nil, err
	}
	if far, err = c.peers.AcceptTCP(); err != nil {
		return nil, nil, err
	}
	return near, far, far.SetDeadline(time.Now().Add(tcptest.Patience))
}
