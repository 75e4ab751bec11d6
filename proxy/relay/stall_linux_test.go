//go:build !portable

package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

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

// The same while the other direction stalls, too: that one is told of the reset, by the kernel, which tells only once.
func TestSourceGoneWhileBothStall(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, errA error) {
		fill(t, a)
		fill(t, b)
		tcptest.Reset(a)
		if r := p.wait(t); !errors.Is(r.Err, errA) {
			t.Errorf("error %v, want %v", r.Err, errA)
		}
	})
}

// A destination that reads again after a while gets everything.
func TestDestinationStallsAndGoesOn(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, _ error) {
		before := p.act.ToBackend() + p.act.ToClient()
		sent := fill(t, a)
		_ = a.SetWriteDeadline(time.Time{})
		_ = a.CloseWrite()
		if got, err := io.Copy(io.Discard, b); got != sent || err != nil {
			t.Errorf("received %d, %v; sent %d", got, err, sent)
		}
		_ = b.Close()
		if r := p.wait(t); r.Err != nil || r.ToBackend+r.ToClient-before != sent || p.act.ToBackend()+p.act.ToClient()-before != sent {
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
