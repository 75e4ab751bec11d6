package front

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/hold"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func TestAwakeIsNeverHeld(t *testing.T) {
	w := newWorld(t, true, Settings{}, nil)
	c := w.dial()
	b := w.accept()
	tcptest.Write(t, b, "hello") // server first
	tcptest.WantRead(t, c, "hello")
	tcptest.Write(t, c, "hi")
	tcptest.WantRead(t, b, "hi")
	tcptest.Eventually(t, "live counts", func() bool {
		s := w.Stats()
		return s.Active() == 1 && s.BytesToBackend() == 2 && s.BytesToClient() == 5 && !s.LastBytes().IsZero()
	})
	_ = b.Close()
	tcptest.WantEOF(t, c)
	_ = c.Close()
	w.wantEnded(Relayed, 1)
	if n := w.Stats().WasHeld(); n != 0 {
		t.Errorf("%d connections were held", n)
	}
}

func TestHeldUntilAwake(t *testing.T) {
	w := newWorld(t, false, Settings{}, nil)
	w.echo()
	var clients []*net.TCPConn
	for range 100 {
		c := w.dial()
		tcptest.Write(t, c, "ping")
		clients = append(clients, c)
	}
	w.wantHeld(100)
	w.wantWaiting(100)
	w.target.wake()
	for _, c := range clients {
		tcptest.WantRead(t, c, "ping")
	}
	if s := w.Stats(); s.Held() != 0 || s.WasHeld() != 100 || s.Active() != 100 {
		t.Errorf("held %d, was held %d, active %d", s.Held(), s.WasHeld(), s.Active())
	}
}

func TestHeldUntilBackendsAppear(t *testing.T) {
	w := newWorld(t, true, Settings{}, nil)
	w.echo()
	w.SetBackends(w.port, nil)
	c := w.dial()
	w.wantHeld(1)
	w.SetBackends(w.port, []netip.AddrPort{w.addr})
	wantEcho(t, c)
}

func TestOnHeld(t *testing.T) {
	w := newWorld(t, false, Settings{}, nil)
	w.echo()
	c := w.dial()
	w.wantHeld(1)
	tcptest.Reset(c)
	if h := <-w.held; h.Outcome != ClientGone || h.Target != nil || h.Connect != 0 {
		t.Errorf("%+v, want a client that has gone and no more", h)
	}
	c = w.dial()
	w.wantHeld(1)
	w.target.wake()
	wantEcho(t, c)
	h := <-w.held
	if h.Outcome != Relayed || h.Target != w.target || h.Connect <= 0 || h.Connect > h.Waited || h.Waited > tcptest.Patience {
		t.Errorf("%+v, want it relayed, counted by the target, and connected within the wait", h)
	}
	wantEcho(t, w.dial())
	if len(w.held) != 0 {
		t.Error("called for a connection that was not held")
	}
}

func TestOnHold(t *testing.T) {
	var began atomic.Int64
	w := newWorldOf(t, false, Settings{}, nil, func(c *Config) { c.OnHold = func() { began.Add(1) } })
	w.echo()
	for turn := range int64(2) {
		a, b := w.dial(), w.dial()
		w.wantHeld(2)
		if n := began.Load(); n != turn+1 {
			t.Errorf("called %d times, want once for both and once for both of earlier", n)
		}
		tcptest.Reset(a)
		tcptest.Reset(b)
		w.wantHeld(0)
	}
}

// A client that goes away frees its place, wherever the connection waits.
func TestClientThatLeavesFreesItsPlace(t *testing.T) {
	leave := map[string]func(*net.TCPConn){
		"reset":                tcptest.Reset,
		"FIN without a byte":   func(c *net.TCPConn) { _ = c.CloseWrite() },
		"close without a byte": func(c *net.TCPConn) { _ = c.Close() },
		"reset after data":     func(c *net.TCPConn) { tcptest.Write(t, c, "x"); tcptest.Reset(c) },
	}
	for name, leave := range leave {
		t.Run("waking/"+name, func(t *testing.T) {
			w := newWorld(t, false, Settings{MaxHeld: 1}, nil)
			c := w.dial()
			w.wantWaiting(1)
			leave(c)
			w.wantEnded(ClientGone, 1)
			w.wantWaiting(0)
			w.dial()
			w.wantHeld(1)
		})
		t.Run("dialing/"+name, func(t *testing.T) {
			w := newWorld(t, true, Settings{MaxHeld: 1}, nil)
			w.SetBackends(w.port, nil)
			c := w.dial()
			w.wantHeld(1)
			leave(c)
			w.wantEnded(ClientGone, 1)
		})
	}
}

func TestHalfClosedRequestIsServed(t *testing.T) {
	w := newWorld(t, false, Settings{}, nil)
	w.echo()
	c := w.dial()
	tcptest.Write(t, c, "request")
	_ = c.CloseWrite()
	w.wantWaiting(1)
	w.target.wake()
	tcptest.WantRead(t, c, "request")
	tcptest.WantEOF(t, c)
	w.wantEnded(Relayed, 1)
}

func TestBudgetRefusesTheNextAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		maxHeld int
		budget  *hold.Budget
	}{
		"of the Service": {2, nil},
		"of the proxy":   {0, hold.NewBudget(2)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, false, Settings{MaxHeld: tc.maxHeld}, tc.budget)
			w.echo()
			first, second := w.dial(), w.dial()
			w.wantHeld(2)
			w.wantReset()
			w.wantEnded(RefusedBudget, 1)
			w.target.wake()
			wantEcho(t, first)
			wantEcho(t, second)
			wantEcho(t, w.dial())
			if errs := w.errors(); len(errs) != 0 {
				t.Errorf("errors %v; refusals are only counted", errs)
			}
		})
	}
}

// TestConnectionsAreBoundedHeldOrRelayed: what is refused is reset at once, and a place is free as soon as a connection has
// ended.
func TestConnectionsAreBoundedHeldOrRelayed(t *testing.T) {
	w := newWorld(t, false, Settings{}, nil)
	w.connections.SetMax(2)
	w.echo()
	first, second := w.dial(), w.dial()
	w.wantHeld(2)
	w.wantReset()
	w.wantEnded(RefusedFull, 1)
	w.target.wake()
	wantEcho(t, first)
	wantEcho(t, second)
	w.wantReset()
	w.wantEnded(RefusedFull, 2)
	_ = first.Close()
	w.wantEnded(Relayed, 1)
	wantEcho(t, w.dial())
	if errs := w.errors(); len(errs) != 0 {
		t.Errorf("errors %v; refusals are only counted", errs)
	}
}

// TestOneServiceLeavesConnectionsForOthers: a flood does not take what all Services share.
func TestOneServiceLeavesConnectionsForOthers(t *testing.T) {
	flooded := newWorld(t, true, Settings{}, nil)
	flooded.connections.SetMax(18)
	flooded.echo()
	for range 16 {
		wantEcho(t, flooded.dial())
	}
	flooded.wantReset()
	flooded.wantEnded(RefusedFull, 1)
	other := New(Config{Name: "shop/db", Target: newTarget(true), Loops: tcptest.Loops(t, 1), Connections: &flooded.connections})
	t.Cleanup(other.Close)
	port := tcptest.FreePort(t)
	other.SetBackends(port, []netip.AddrPort{flooded.addr})
	if err := other.SetPorts([]Port{{Listen: port}}); err != nil {
		t.Fatal(err)
	}
	wantEcho(t, tcptest.Dial(t, tcptest.Loopback(port)))
}

func TestOutcomes(t *testing.T) {
	short := Settings{WakeTimeout: 30 * time.Millisecond}
	for name, tc := range map[string]struct {
		awake    bool
		settings Settings
		setup    func(w *world)
		want     Outcome
		err      string
	}{
		"not woken in time":    {false, short, func(*world) {}, WakeTimeout, "shop/web: wake: wake timeout"},
		"wake fails":           {false, Settings{}, func(w *world) { w.target.fail(errors.New("no rights")) }, WakeError, "shop/web: wake: no rights"},
		"no backend in time":   {true, short, func(w *world) { w.SetBackends(w.port, nil) }, WakeTimeout, "no backend"},
		"no backend reachable": {true, short, func(w *world) { _ = w.backend.Close() }, DialError, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tc.awake, tc.settings, nil)
			tc.setup(w)
			w.wantReset()
			w.wantEnded(tc.want, 1)
			errs := w.errors()
			if len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), "shop/web: ") || !strings.Contains(errs[0].Error(), tc.err) {
				t.Errorf("errors %v, want one with %q", errs, tc.err)
			}
		})
	}
}

func TestDialErrorsAreCounted(t *testing.T) {
	w := newWorld(t, true, Settings{}, nil)
	w.echo()
	l, refusing := tcptest.Listen(t)
	_ = l.Close()
	w.SetBackends(w.port, []netip.AddrPort{refusing})
	c := w.dial()
	tcptest.Eventually(t, "failed attempts", func() bool { return w.Stats().DialErrors() >= 3 })
	w.wantHeld(1) // a place is what it costs to try again
	w.SetBackends(w.port, []netip.AddrPort{refusing, w.addr})
	wantEcho(t, c)
}

// Connections from ignored sources and to passive ports neither wake the target nor count as its use.
func TestUncounted(t *testing.T) {
	for name, setup := range map[string]func(w *world) Settings{
		"ignored source": func(w *world) Settings {
			return Settings{IgnoreSources: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8")}}
		},
		"passive port": func(w *world) Settings {
			if err := w.SetPorts([]Port{{Listen: w.port, Passive: true}}); err != nil {
				t.Error(err)
			}
			return Settings{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, false, Settings{}, nil)
			w.SetSettings(setup(w))
			w.echo()
			w.wantReset()
			w.wantEnded(RefusedAsleep, 1)
			w.target.wake()
			wantEcho(t, w.dial())
			if _, acquired, _ := w.target.counts(); acquired != 0 {
				t.Errorf("the target was acquired %d times", acquired)
			}
			tcptest.Eventually(t, "bytes are counted", func() bool { return w.Stats().BytesToBackend() == 4 && w.Stats().BytesToClient() == 4 })
			if last := w.Stats().LastBytes(); !last.IsZero() {
				t.Errorf("last bytes of use %v, want none", last)
			}
		})
	}
}

func TestWakeOnData(t *testing.T) {
	w := newWorld(t, false, Settings{WakeOnData: true}, nil)
	w.echo()
	// Port checks: connect and leave. None wakes.
	for _, leave := range []func(*net.TCPConn){tcptest.Reset, func(c *net.TCPConn) { _ = c.Close() }} {
		c := w.dial()
		w.wantHeld(1)
		leave(c)
		w.wantHeld(0)
	}
	w.wantEnded(ClientGone, 2)
	silent := w.dial()
	w.wantHeld(1)
	if _, acquired, waiting := w.target.counts(); acquired+waiting != 0 {
		t.Error("a silent connection wakes")
	}
	c := w.dial()
	tcptest.Write(t, c, "ping")
	w.wantWaiting(1)
	w.target.wake()
	tcptest.WantRead(t, c, "ping")
	wantEcho(t, silent)
}

// TestWakeOnDataEndsSilence: a client that sends nothing keeps its place for as long as one that waits for a backend.
func TestWakeOnDataEndsSilence(t *testing.T) {
	w := newWorld(t, false, Settings{WakeOnData: true, WakeTimeout: 50 * time.Millisecond}, nil)
	tcptest.WantReset(t, w.dial())
	w.wantEnded(NoData, 1)
	if got := <-w.held; got.Outcome != NoData || got.Waited < 50*time.Millisecond {
		t.Errorf("held for %s until %s", got.Waited, got.Outcome)
	}
	if _, acquired, waiting := w.target.counts(); acquired+waiting != 0 {
		t.Error("a silent connection wakes")
	}
}

// While the target is awake, waiting for data would break protocols in which the server speaks first.
func TestWakeOnDataWhileAwake(t *testing.T) {
	w := newWorld(t, true, Settings{WakeOnData: true}, nil)
	c := w.dial()
	tcptest.Write(t, w.accept(), "220 ready")
	tcptest.WantRead(t, c, "220 ready")
}

func TestResetsArePassedOn(t *testing.T) {
	w := newWorld(t, true, Settings{}, nil)
	c := w.dial()
	b := w.accept()
	tcptest.Eventually(t, "relaying", func() bool { return w.Stats().Active() == 1 }) // before that it would dial again
	tcptest.Reset(b)
	tcptest.WantReset(t, c)
	w.wantEnded(Relayed, 1)
	c = w.dial()
	b = w.accept()
	tcptest.Reset(c)
	tcptest.WantReset(t, b)
	w.wantEnded(Relayed, 2)
}

func TestManyAtOnceLoseNone(t *testing.T) {
	const n = 500
	w := newWorld(t, false, Settings{}, nil)
	w.echo()
	w.SetBackends(w.port, nil)
	var wg sync.WaitGroup
	for range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := net.Dial("tcp", tcptest.Loopback(w.port).String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(tcptest.Patience))
			buf := make([]byte, 4)
			if _, err := c.Write([]byte("ping")); err != nil {
				t.Error(err)
			}
			if _, err := c.Read(buf); err != nil || string(buf) != "ping" {
				t.Errorf("read %q, %v", buf, err)
			}
		}()
	}
	w.wantHeld(n)
	w.target.wake()
	w.SetBackends(w.port, []netip.AddrPort{w.addr})
	wg.Wait()
	w.wantEnded(Relayed, n)
}

func TestAdmittingDoesNotAllocate(t *testing.T) {
	c, settings := admissible(t)
	if n := testing.AllocsPerRun(100, func() { c.tryAdmit(settings); c.target.Release(time.Now()) }); n != 0 {
		t.Errorf("%v allocations to admit a connection to an awake target", n)
	}
}

func BenchmarkAdmit(b *testing.B) {
	c, settings := admissible(b)
	b.ReportAllocs()
	for b.Loop() {
		if !c.tryAdmit(settings) {
			b.Fatal("not admitted")
		}
		c.target.Release(time.Now())
	}
}

func admissible(tb testing.TB) (*conn, *Settings) {
	s := New(Config{Target: newTarget(true)})
	tb.Cleanup(s.Close)
	near, _ := tcptest.Pair(tb, tcptest.Loops(tb, 1))
	tb.Cleanup(near.Close)
	return &conn{s: s, port: &port{}, client: near}, s.settings.Load()
}

func BenchmarkConnection(b *testing.B) {
	w := newWorld(b, true, Settings{}, nil)
	w.echo()
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(tcptest.Loopback(w.port)))
		if err != nil {
			b.Fatal(err)
		}
		wantEcho(b, c)
		tcptest.Reset(c)
	}
}
