//go:build !portable

package relay

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func TestDataAndFINTogether(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, _ error) {
		cork(t, a) // so that data and FIN leave in one segment
		tcptest.Write(t, a, "all there is")
		_ = a.CloseWrite()
		tcptest.WantRead(t, b, "all there is")
		tcptest.WantEOF(t, b)
		_ = b.Close()
		tcptest.WantEOF(t, a)
		if r := p.wait(t); r.Err != nil {
			t.Error(r.Err)
		}
	})
}

func cork(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 1) })
	if err := errors.Join(err, set); err != nil {
		t.Fatal(err)
	}
}

func TestResetAfterHalfCloseIsPassedOn(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, errA error) {
		_ = a.CloseWrite()
		tcptest.WantEOF(t, b)
		tcptest.Reset(a) // b sends nothing, so only watching a shows it
		if r := p.wait(t); !errors.Is(r.Err, errA) {
			t.Errorf("error %v, want %v", r.Err, errA)
		}
		tcptest.Eventually(t, "b cannot write any more", func() bool {
			_, err := b.Write([]byte("x"))
			return err != nil
		})
	})
}

// The same as TestAnswerBeforeHangUp, with the upload turned down before the relay has seen the answer.
func TestAnswerIsReadAfterHangUp(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, _ error) {
		release := tcptest.HoldUp(t, p.loops)
		go func() {
			for {
				if _, err := b.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}()
		tcptest.Eventually(t, "the upload has begun", func() bool { return unread(t, p, b) >= sustained })
		tcptest.Write(t, a, "no")
		_ = a.Close()
		release()
		tcptest.WantRead(t, b, "no")
		p.wait(t)
	})
}

// unread returns how many bytes of a peer the relay has not read yet.
func unread(t *testing.T, p *pair, peer *net.TCPConn) int {
	t.Helper()
	f := &p.session.up
	if peer == p.backend {
		f = &p.session.down
	}
	n, err := unix.IoctlGetInt(f.src.FD(), unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Urgent data splits what is read and what is spliced: the kernel stops in front of the urgent byte, and drops it. All that
// is around it must arrive, although the loop learns of everything at once, and of the end with it.
func TestUrgentData(t *testing.T) {
	for _, end := range []bool{false, true} {
		both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, _ error) {
			release := tcptest.HoldUp(t, p.loops)
			tcptest.Write(t, a, "before, ")
			urgent(t, a, '!')
			tcptest.Write(t, a, "after")
			if end {
				_ = a.CloseWrite()
			}
			release()
			tcptest.WantRead(t, b, "before, after")
			tcptest.Write(t, b, "x")
			tcptest.WantRead(t, a, "x")
		})
	}
}

func urgent(t *testing.T, c *net.TCPConn, b byte) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var sent error
	err = raw.Control(func(fd uintptr) { sent = unix.Sendto(int(fd), []byte{b}, unix.MSG_OOB, nil) })
	if err := errors.Join(err, sent); err != nil {
		t.Fatal(err)
	}
}
