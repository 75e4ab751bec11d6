package front

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tpa.dev/tpa/proxy/hold"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeTarget is asleep until wake or fail is called.
type fakeTarget struct {
	mu       sync.Mutex
	awake    bool
	err      error
	changed  chan struct{} // closed by wake and fail
	uses     int           // successful acquisitions not yet released
	acquired int           // all of them
	waiting  int           // Acquire and Return calls under way
	used     time.Time     // the end of the last use
	parked   map[*fakeParked]struct{}
	onDoze   func() // called by doze with mu held, as a target's hook is; nil for none
}

func newTarget(awake bool) *fakeTarget {
	t := &fakeTarget{changed: make(chan struct{})}
	if awake {
		t.wake()
	}
	return t
}

func (t *fakeTarget) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.awake = true
	close(t.changed)
}

func (t *fakeTarget) sleep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.awake, t.changed = false, make(chan struct{})
}

func (t *fakeTarget) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
	close(t.changed)
}

func (t *fakeTarget) TryAcquire() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.awake {
		t.uses++
		t.acquired++
	}
	return t.awake
}

func (t *fakeTarget) Acquire(ctx context.Context, client Client) error {
	if a := client.Addr; !a.Addr().Is4() && !a.Addr().Is6() || a.Addr().Is4In6() || a.Port() == 0 {
		return errors.New("not a client's address: " + a.String())
	}
	if t.TryAcquire() {
		return nil
	}
	t.await(ctx)
	t.mu.Lock()
	err := t.err
	t.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	}
	return t.Acquire(ctx, client)
}

// await waits, counted, for the next change.
func (t *fakeTarget) await(ctx context.Context) {
	t.mu.Lock()
	changed := t.changed
	t.waiting++
	t.mu.Unlock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting--
}

func (t *fakeTarget) Release(used time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.uses--
	t.used = used
}

func (t *fakeTarget) Awake() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.awake
}

func (t *fakeTarget) counts() (uses, acquired, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.uses, t.acquired, t.waiting
}

// world is a Service under test with one port and one backend.
type world struct {
	connections hold.Budget // bounds nothing unless a test says so
	*Service
	tb      testing.TB
	target  *fakeTarget
	port    uint16
	backend *net.TCPListener
	addr    netip.AddrPort // the backend's

	mu   sync.Mutex
	errs []error
	held chan Held
}

// newWorld starts a Service. At the end of the test every use must have been released, and every connection have one
// outcome.
func newWorld(tb testing.TB, awake bool, settings Settings, budget *hold.Budget) *world {
	tb.Helper()
	return newWorldOf(tb, awake, settings, budget, func(*Config) {})
}

// newWorldOf starts one whose Config is changed first.
func newWorldOf(tb testing.TB, awake bool, settings Settings, budget *hold.Budget, change func(*Config)) *world {
	tb.Helper()
	w := &world{tb: tb, target: newTarget(awake), port: tcptest.FreePort(tb), held: make(chan Held, 4096)}
	w.backend, w.addr = tcptest.Listen(tb)
	config := Config{Name: "shop/web", Target: w.target, Loops: tcptest.Loops(tb, 2), Budget: budget, Connections: &w.connections, OnError: func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.errs = append(w.errs, err)
	}, OnHeld: func(h Held) { w.held <- h }}
	change(&config)
	w.Service = New(config)
	w.SetSettings(settings)
	w.SetBackends(w.port, []netip.AddrPort{w.addr})
	if err := w.SetPorts([]Port{{Listen: w.port}}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		w.Close()
		if uses, _, _ := w.target.counts(); uses != 0 || len(w.target.parked) != 0 || w.Stats().Parked() != 0 {
			tb.Errorf("%d uses of the target not released, %d parked, %d by the count", uses, len(w.target.parked), w.Stats().Parked())
		}
		var ended int64
		for _, o := range Outcomes() {
			ended += w.Stats().Ended(o)
		}
		if accepted := w.Stats().Accepted(); ended != accepted {
			tb.Errorf("%d connections accepted, %d ended", accepted, ended)
		}
		if w.Stats().Active() != 0 || w.Stats().Held() != 0 || budget.Held() != 0 || w.Service.held.Held() != 0 || w.connections.Held() != 0 {
			tb.Errorf("%d active, %d held at the end", w.Stats().Active(), w.Stats().Held())
		}
	})
	return w
}

func (w *world) errors() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.errs
}

func (w *world) dial() *net.TCPConn { return tcptest.Dial(w.tb, tcptest.Loopback(w.port)) }

// wantReset connects and fails unless the connection is reset, which may happen before connecting has returned.
func (w *world) wantReset() {
	w.tb.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(tcptest.Loopback(w.port)))
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		w.tb.Fatal(err)
	}
	tcptest.WantReset(w.tb, tcptest.Own(w.tb, c))
}

func (w *world) accept() *net.TCPConn { return tcptest.Accept(w.tb, w.backend) }

// echo has the backend send back what it gets, for any number of connections.
func (w *world) echo() {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := w.backend.AcceptTCP()
			if err != nil {
				return
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	w.tb.Cleanup(func() { _ = w.backend.Close(); w.Close(); wg.Wait() })
}

func (w *world) wantHeld(n int64) {
	w.tb.Helper()
	tcptest.Eventually(w.tb, "the wanted number of held connections", func() bool { return w.Stats().Held() == n })
}

func (w *world) wantWaiting(n int) {
	w.tb.Helper()
	tcptest.Eventually(w.tb, "the wanted number of wakes under way", func() bool {
		_, _, waiting := w.target.counts()
		return waiting == n
	})
}

func (w *world) wantEnded(o Outcome, n int64) {
	w.tb.Helper()
	tcptest.Eventually(w.tb, "outcome "+o.String(), func() bool { return w.Stats().Ended(o) == n })
}

// wantEcho fails unless c reaches the echoing backend.
func wantEcho(tb testing.TB, c *net.TCPConn) {
	tb.Helper()
	tcptest.Write(tb, c, "ping")
	tcptest.WantRead(tb, c, "ping")
}

func soon(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	tb.Cleanup(cancel)
	return ctx
}

// fakeParked is a place at a fakeTarget.
type fakeParked struct {
	target *fakeTarget
	dozed  func()
}

func (t *fakeTarget) Park(used time.Time, dozed func()) Parked {
	t.Release(used)
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &fakeParked{t, dozed}
	if t.parked == nil {
		t.parked = map[*fakeParked]struct{}{}
	}
	t.parked[p] = struct{}{}
	return p
}

func (p *fakeParked) TryReturn() bool {
	if !p.parked() || !p.target.TryAcquire() {
		return false
	}
	p.Leave()
	return true
}

// Return waits until the claim is there or the place is not any more.
func (p *fakeParked) Return(ctx context.Context, _ netip.AddrPort) error {
	t := p.target
	for p.parked() {
		if p.TryReturn() {
			return nil
		}
		t.mu.Lock()
		err := t.err
		t.mu.Unlock()
		if err != nil {
			return err
		}
		t.await(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return ErrDozed
}

func (p *fakeParked) Leave() {
	p.target.mu.Lock()
	defer p.target.mu.Unlock()
	delete(p.target.parked, p)
}

func (p *fakeParked) parked() bool {
	p.target.mu.Lock()
	defer p.target.mu.Unlock()
	_, parked := p.target.parked[p]
	return parked
}

// doze has the target leave Awake: the claim is gone, and so is who is parked.
func (t *fakeTarget) doze() {
	t.mu.Lock()
	gone := t.parked
	t.parked = nil
	if t.onDoze != nil {
		t.onDoze()
	}
	if !t.awake {
		close(t.changed)
	}
	t.awake, t.changed = false, make(chan struct{})
	t.mu.Unlock()
	for p := range gone {
		p.dozed()
	}
}
