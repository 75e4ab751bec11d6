//go:build !portable

package tcp_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func TestDialErrorsSayWhy(t *testing.T) {
	l, addr := full(t)
	defer l.Close()
	loop := tcptest.Loops(t, 1).Next()
	if _, err := tcp.Dial(t.Context(), loop, addr, 20*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v, want %v", err, os.ErrDeadlineExceeded)
	}
	why := errors.New("nobody waits any more")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
	if _, err := tcp.Dial(ctx, loop, addr, tcptest.Patience); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

// A dial that fails gives back its descriptor and its place in the loop, however far it has come.
func TestFailedDialsLeaveNothing(t *testing.T) {
	loops := tcptest.Loops(t, 1)
	l, addr := full(t)
	defer l.Close()
	nobody, refusing := tcptest.Listen(t)
	_ = nobody.Close()
	fds := tcptest.Descriptors(t)
	for range 20 {
		if c, err := tcp.Dial(t.Context(), loops.Next(), addr, time.Millisecond); err == nil {
			t.Fatalf("connected to %s", c.Remote())
		}
		if c, err := tcp.Dial(t.Context(), loops.Next(), refusing, tcptest.Patience); err == nil {
			t.Fatalf("connected to %s", c.Remote())
		}
	}
	if now := tcptest.Descriptors(t); now != fds {
		t.Errorf("%d descriptors, %d before", now, fds)
	}
	if n := loops.Registered(); n != 0 {
		t.Errorf("%d connections are still registered", n)
	}
}
