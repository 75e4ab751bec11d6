package backend

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

var client = netip.MustParseAddrPort("192.0.2.1:1234")

// refusing returns an address that refuses connections.
func refusing(t *testing.T) netip.AddrPort {
	l, addr := tcptest.Listen(t)
	_ = l.Close()
	return addr
}

// serving returns an address whose connections are accepted and kept until the client closes them.
func serving(t testing.TB) netip.AddrPort {
	l, addr := tcptest.Listen(t)
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer c.Close()
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return addr
}

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), tcptest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// dialOnce waits for the outcome of DialOnce.
func dialOnce(p *Pool, ctx context.Context, l *tcp.Loop, client netip.AddrPort) (c *Conn, err error) {
	done := make(chan struct{})
	p.DialOnce(ctx, l, client, nil, func(conn *Conn, failed error) { c, err = conn, failed; close(done) })
	<-done
	return c, err
}

func end(c *Conn) {
	c.Close()
	c.Release()
}

func (p *Pool) load1(addr netip.AddrPort) int64 {
	for _, b := range p.load().backends {
		if b.addr == addr {
			return b.inFlight.Load()
		}
	}
	return -1
}

func TestDialCountsUntilReleased(t *testing.T) {
	l := tcptest.Loops(t, 1).Next()
	addr := serving(t)
	var p Pool
	p.Set([]netip.AddrPort{addr})
	c, err := p.Dial(patience(t), l, client, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Backend() != addr || p.load1(addr) != 1 {
		t.Errorf("connected to %s, %d in flight", c.Backend(), p.load1(addr))
	}
	other := serving(t)
	p.Set([]netip.AddrPort{other, addr, other})
	if p.Len() != 2 || p.load1(addr) != 1 {
		t.Errorf("after Set: %d backends, %d in flight", p.Len(), p.load1(addr))
	}
	end(c)
	if n := p.load1(addr); n != 0 {
		t.Errorf("%d in flight after Release", n)
	}
}

func TestDialTriesOthers(t *testing.T) {
	l := tcptest.Loops(t, 1).Next()
	for _, affinity := range []bool{false, true} {
		addr := serving(t)
		var failures atomic.Int64
		p := Pool{OnFailure: func(error) { failures.Add(1) }}
		p.SetAffinity(affinity)
		p.Set([]netip.AddrPort{refusing(t), refusing(t), addr, refusing(t)})
		for i := range 20 {
			c, err := p.Dial(patience(t), l, netip.AddrPortFrom(client.Addr(), uint16(i)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Backend() != addr {
				t.Errorf("connected to %s", c.Backend())
			}
			end(c)
		}
		if n := failures.Load(); n > 10 { // each is avoided for a second after it refused
			t.Errorf("affinity %v: %d failures in 20 dials", affinity, n)
		}
	}
}

func TestDialErrorSaysWhatHappened(t *testing.T) {
	l := tcptest.Loops(t, 1).Next()
	var p Pool
	addr := refusing(t)
	p.Set([]netip.AddrPort{addr})
	cause := errors.New("out of time")
	ctx, cancel := context.WithTimeoutCause(context.Background(), 50*time.Millisecond, cause)
	defer cancel()
	_, err := p.Dial(ctx, l, client, nil)
	if !errors.Is(err, cause) || !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, ErrNoBackend) {
		t.Errorf("error %v", err)
	}
	if s := err.Error(); !strings.Contains(s, addr.String()) || !strings.Contains(s, "attempts, the last: ") {
		t.Errorf("error %q names neither backend nor attempts", s)
	}
	if n := p.load1(addr); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestDialWithoutBackends(t *testing.T) {
	l := tcptest.Loops(t, 1).Next()
	var p Pool
	if _, err := dialOnce(&p, context.Background(), l, client); !errors.Is(err, ErrNoBackend) {
		t.Errorf("DialOnce: error %v", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(syscall.EPIPE)
	if _, err := p.Dial(ctx, l, client, nil); !errors.Is(err, ErrNoBackend) || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Dial: error %v", err)
	}
}

func TestBackendsThatAppearReleaseAllWaiting(t *testing.T) {
	l := tcptest.Loops(t, 1).Next()
	const waiting = 200
	var p Pool
	errs := make(chan error, waiting)
	for range waiting {
		go func() {
			c, err := p.Dial(patience(t), l, client, nil)
			if err == nil {
				end(c)
			}
			errs <- err
		}()
	}
	p.Set([]netip.AddrPort{refusing(t)}) // not yet accepting
	p.Set(nil)
	p.Set([]netip.AddrPort{serving(t)})
	for range waiting {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestConnectsArePaced(t *testing.T) {
	l := tcptest.Loops(t, 1).Next()
	var p Pool
	p.Set([]netip.AddrPort{serving(t)})
	b := p.load().backends[0]
	for range maxConnects {
		b.connects <- struct{}{}
	}
	if _, err := dialOnce(&p, context.Background(), l, client); !errors.Is(err, ErrBusy) {
		t.Errorf("DialOnce: error %v, want %v", err, ErrBusy)
	}
	got := make(chan error)
	dial := func() {
		c, err := p.Dial(patience(t), l, client, nil)
		if err == nil {
			end(c)
		}
		got <- err
	}
	go dial()
	go dial()
	select {
	case err := <-got:
		t.Fatalf("a connect beyond the limit: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	<-b.connects // one token for two
	for range 2 {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.connects <- struct{}{}
	go func() {
		_, err := p.Dial(ctx, l, client, nil)
		got <- err
	}()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
}

// One that waits for its turn at a backend goes elsewhere when the set changes.
func TestSetReleasesThePaced(t *testing.T) {
	l := tcptest.Loops(t, 1).Next()
	var p Pool
	stuck, addr := serving(t), serving(t)
	p.Set([]netip.AddrPort{stuck})
	b := p.load().backends[0]
	for range maxConnects {
		b.connects <- struct{}{}
	}
	got := make(chan netip.AddrPort)
	go func() {
		c, err := p.Dial(patience(t), l, client, nil)
		if err != nil {
			t.Error(err)
			close(got)
			return
		}
		defer end(c)
		got <- c.Backend()
	}()
	p.Set([]netip.AddrPort{addr})
	if to := <-got; to != addr {
		t.Errorf("connected to %s, want %s", to, addr)
	}
}

// A cancelled dial says nothing about the backend.
func TestCancelIsNotARefusal(t *testing.T) {
	l := tcptest.Loops(t, 1).Next()
	p := Pool{OnFailure: func(err error) { t.Errorf("counted as a failure: %v", err) }}
	p.Set([]netip.AddrPort{serving(t)})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := dialOnce(&p, ctx, l, client); err == nil {
		t.Error("no error")
	}
	if p.load().backends[0].avoided(time.Now().UnixNano()) {
		t.Error("the backend is avoided")
	}
}

func TestSetNormalizes(t *testing.T) {
	var p Pool
	p.Set([]netip.AddrPort{netip.MustParseAddrPort("[::ffff:10.0.0.1]:80"), netip.MustParseAddrPort("10.0.0.1:80")})
	before := p.load()
	p.Set([]netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:80")})
	if p.Len() != 1 || p.load() != before {
		t.Errorf("backends %v; the same ones must not be a change", p.Addrs())
	}
}

func BenchmarkDial(b *testing.B) {
	l := tcptest.Loops(b, 1).Next()
	addr := serving(b)
	var p Pool
	p.Set([]netip.AddrPort{addr})
	b.ReportAllocs()
	for b.Loop() {
		c, err := dialOnce(&p, context.Background(), l, client)
		if err != nil {
			b.Fatal(err)
		}
		c.Abort()
		c.Release()
	}
}
