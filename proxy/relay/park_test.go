package relay

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// owner parks when asked, and says of each wake what its answer is.
type owner struct {
	answer bool

	mu    sync.Mutex
	last  time.Time // of the last Park
	wakes int
}

func (o *owner) Park(last time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = last
	return true
}

func (o *owner) Wake() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wakes++
	return o.answer
}

func (o *owner) woken() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.wakes
}

// park parks the session of p, which must come to rest by itself.
func (p *pair) park(t *testing.T, o Owner) {
	t.Helper()
	tcptest.Eventually(t, "the session is parked", func() bool { return p.session.Park(time.Now(), o) })
}

func TestParkedGoesOnWithTheFirstByte(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, _ error) {
		o := &owner{answer: true}
		p.park(t, o)
		if p.session.Park(time.Now(), o) {
			t.Error("a parked session was parked")
		}
		tcptest.Write(t, a, "question")
		tcptest.WantRead(t, b, "question")
		p.park(t, o)
		_ = a.CloseWrite() // an end is passed on as well, and a half-closed session parks
		tcptest.WantEOF(t, b)
		p.park(t, o)
		tcptest.Write(t, b, "answer")
		tcptest.WantRead(t, a, "answer")
		p.park(t, o)
		_ = b.Close()
		tcptest.WantEOF(t, a)
		if r := p.wait(t); r.Err != nil || o.woken() != 4 {
			t.Errorf("error %v after %d wakes, want none after 4", r.Err, o.woken())
		}
	})
}

// What comes while the owner has not let the session go on waits, in its order, and with the end behind it.
func TestParkedPassesNothingBeforeResume(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, _ error) {
		o := &owner{}
		p.park(t, o)
		before := p.act.ToBackend() + p.act.ToClient()
		tcptest.Write(t, a, "one ")
		tcptest.Eventually(t, "the owner is asked", func() bool { return o.woken() == 1 })
		tcptest.Write(t, a, "two")
		tcptest.Write(t, b, "other way")
		_ = a.CloseWrite()
		p.session.Wake()
		if now := p.act.ToBackend() + p.act.ToClient(); now != before || o.woken() != 1 {
			t.Errorf("%d bytes moved, %d wakes; want none moved and one wake", now-before, o.woken())
		}
		p.session.Resume()
		tcptest.WantRead(t, b, "one two")
		tcptest.WantEOF(t, b)
		tcptest.WantRead(t, a, "other way")
		_ = b.Close()
		if r := p.wait(t); r.Err != nil {
			t.Error(r.Err)
		}
	})
}

func TestParkedIsResetByAReset(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, errA error) {
		o := &owner{}
		p.park(t, o)
		tcptest.Reset(a)
		tcptest.Eventually(t, "the owner is asked", func() bool { return o.woken() == 1 })
		p.session.Resume()
		tcptest.WantReset(t, b)
		if r := p.wait(t); !errors.Is(r.Err, errA) {
			t.Errorf("error %v, want %v", r.Err, errA)
		}
	})
}

// Both peers of a parked session that is ended see an end and no reset, also one that has just sent something.
func TestParkedEndsInGoodOrder(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, b *net.TCPConn, _ error) {
		o := &owner{}
		p.session.End() // which is nothing to a session that is not parked
		p.park(t, o)
		tcptest.Write(t, a, "too late")
		tcptest.Eventually(t, "the owner is asked", func() bool { return o.woken() == 1 })
		p.session.End()
		tcptest.WantEOF(t, a)
		tcptest.WantEOF(t, b)
		if r := p.wait(t); !errors.Is(r.Err, ErrParked) {
			t.Errorf("error %v, want %v", r.Err, ErrParked)
		}
		p.session.Resume()
		p.session.Wake()
		p.session.End()
		if p.session.Park(time.Now(), o) {
			t.Error("a session that is over was parked")
		}
	})
}

func TestParkedIsAborted(t *testing.T) {
	p := start(t)
	p.park(t, &owner{})
	p.session.Abort()
	tcptest.WantReset(t, p.client)
	tcptest.WantReset(t, p.backend)
	if r := p.wait(t); !errors.Is(r.Err, ErrAborted) {
		t.Errorf("error %v, want %v", r.Err, ErrAborted)
	}
}

// Only a session that has been silent since the time is parked, and the owner learns since when.
func TestParkGoesByTheLastByte(t *testing.T) {
	p := start(t)
	o := &owner{answer: true}
	tcptest.Write(t, p.client, "x")
	tcptest.WantRead(t, p.backend, "x")
	tcptest.Eventually(t, "the byte is counted", func() bool { return p.act.ToBackend() == 1 })
	if last := p.act.Last(); p.session.Park(last.Add(-time.Millisecond), o) || !o.last.IsZero() {
		t.Error("a session was parked that has moved a byte since")
	}
	p.park(t, o)
	if !o.last.Equal(p.act.Last()) {
		t.Errorf("silent since %v, want %v", o.last, p.act.Last())
	}
	p.session.Abort()
	if r := p.wait(t); !r.Last.Equal(o.last) {
		t.Errorf("last byte at %v in the result, want %v", r.Last, o.last)
	}
}

// A session whose reader is slow has bytes on their way: it is not silent.
func TestSessionWithCargoIsNotParked(t *testing.T) {
	both(t, func(t *testing.T, p *pair, a, _ *net.TCPConn, _ error) {
		chunk := make([]byte, 64<<10)
		for {
			_ = a.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := a.Write(chunk); err != nil {
				break
			}
		}
		if p.session.Park(time.Now().Add(time.Hour), &owner{}) {
			t.Error("parked")
		}
		p.session.Abort()
		p.wait(t)
	})
}
