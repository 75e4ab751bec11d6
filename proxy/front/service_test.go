package front

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pires/go-proxyproto"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func TestSetPorts(t *testing.T) {
	w := newWorld(t, true, Settings{}, nil)
	w.echo()
	kept := w.dial()
	wantEcho(t, kept)
	second := tcptest.FreePort(t)
	w.SetBackends(second, []netip.AddrPort{w.addr})
	ports := []Port{{Listen: second}, {Listen: w.port}}
	if err := w.SetPorts(ports); err != nil {
		t.Fatal(err)
	}
	want := []uint16{w.port, second}
	slices.Sort(want)
	if diff := cmp.Diff(want, w.Listening()); diff != "" {
		t.Errorf("listening (-want +got):\n%s", diff)
	}
	wantEcho(t, w.dial())
	wantEcho(t, tcptest.Dial(t, tcptest.Loopback(second)))

	if err := w.SetPorts(ports[:1]); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", tcptest.Loopback(w.port).String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial of a closed port: %v", err)
	}
	wantEcho(t, kept)
	wantEcho(t, tcptest.Dial(t, tcptest.Loopback(second)))
}

func TestSetPortsNamesWhatItCannotOpen(t *testing.T) {
	w := newWorld(t, true, Settings{}, nil)
	w.echo()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	taken := uint16(l.Addr().(*net.TCPAddr).Port)
	free := tcptest.FreePort(t)
	ports := []Port{{Listen: taken}, {Listen: free}, {Listen: w.port}}
	err = w.SetPorts(ports)
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "shop/web: listen on port "+strconv.Itoa(int(taken))) {
		t.Errorf("error %v", err)
	}
	if got := w.Listening(); len(got) != 2 || slices.Contains(got, taken) {
		t.Errorf("listening on %v: what can be opened must be", got)
	}
	_ = l.Close()
	if err := w.SetPorts(ports); err != nil {
		t.Errorf("second try: %v", err)
	}
	if got := w.Listening(); len(got) != 3 {
		t.Errorf("listening on %v", got)
	}
	if err := w.SetPorts([]Port{{}, {Listen: w.port}}); err == nil {
		t.Error("port 0 was accepted")
	}
}

// Ports may close while connections that they accepted are still held.
func TestHeldOutliveTheirPort(t *testing.T) {
	w := newWorld(t, false, Settings{}, nil)
	w.echo()
	w.SetBackends(w.port, nil)
	c := w.dial()
	w.wantHeld(1)
	w.CloseListeners()
	w.target.wake()
	w.SetBackends(w.port, []netip.AddrPort{w.addr})
	wantEcho(t, c)
}

func TestDrainWaits(t *testing.T) {
	w := newWorld(t, true, Settings{}, nil)
	w.echo()
	c := w.dial()
	wantEcho(t, c)
	w.CloseListeners()
	drained := make(chan error, 1)
	go func() { drained <- w.Drain(t.Context()) }()
	wantEcho(t, c)
	if len(drained) > 0 {
		t.Fatal("drained with a connection open")
	}
	_ = c.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := w.Drain(t.Context()); err != nil {
		t.Errorf("a second Drain: %v", err)
	}
}

func TestDrainAbortsTheRest(t *testing.T) {
	w := newWorld(t, true, Settings{}, nil)
	w.echo()
	open := w.dial()
	wantEcho(t, open)
	w.target.sleep()
	held := w.dial()
	w.wantHeld(1)
	w.CloseListeners()
	err := w.Drain(soon(t))
	var drain *DrainError
	if !errors.As(err, &drain) || drain.Aborted != 2 || drain.Service != "shop/web" {
		t.Errorf("error %v, want 2 aborted", err)
	}
	tcptest.WantReset(t, open)
	tcptest.WantReset(t, held)
	w.wantEnded(Aborted, 2)
	if err := w.SetPorts([]Port{{Listen: w.port}}); !errors.Is(err, ErrClosed) {
		t.Errorf("SetPorts afterwards: %v, want %v", err, ErrClosed)
	}
}

// Close must reach connections wherever they are.
func TestCloseEndsEverything(t *testing.T) {
	for name, tc := range map[string]struct {
		awake    bool
		settings Settings
		setup    func(w *world)
	}{
		"waking":      {false, Settings{}, func(w *world) { w.dial(); w.wantWaiting(1) }},
		"first byte":  {false, Settings{WakeOnData: true}, func(w *world) { w.dial(); w.wantHeld(1) }},
		"no backend":  {true, Settings{}, func(w *world) { w.SetBackends(w.port, nil); w.dial(); w.wantHeld(1) }},
		"backing off": {true, Settings{}, func(w *world) { _ = w.backend.Close(); w.dial(); w.wantHeld(1) }},
		"relaying":    {true, Settings{}, func(w *world) { w.echo(); wantEcho(t, w.dial()) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tc.awake, tc.settings, nil)
			tc.setup(w)
			w.Close()
			w.Close()
			if n := w.Stats().Ended(Aborted); n != 1 {
				t.Errorf("%d aborted, want 1", n)
			}
			if got := w.Listening(); len(got) != 0 {
				t.Errorf("listening on %v", got)
			}
			if errs := w.errors(); len(errs) != 0 {
				t.Errorf("errors %v", errs)
			}
		})
	}
}

func TestManyConnectionsLeaveNothing(t *testing.T) {
	w := newWorld(t, true, Settings{}, nil)
	w.echo()
	fds, goroutines := tcptest.Descriptors(t), runtime.NumGoroutine()
	for i := range 2000 {
		c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(tcptest.Loopback(w.port)))
		if err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 0:
			tcptest.Reset(c)
		case 1:
			_ = c.Close()
		case 2:
			wantEcho(t, c)
			_ = c.Close()
		case 3:
			wantEcho(t, c)
			tcptest.Reset(c)
		}
	}
	w.wantEnded(Relayed, 2000)
	tcptest.Eventually(t, "goroutines ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	tcptest.Eventually(t, "descriptors closed", func() bool { return tcptest.Descriptors(t) <= fds })
}

func TestProxyProtocol(t *testing.T) {
	for _, version := range []ProxyProtocol{1, 2} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			t.Run("v"+strconv.Itoa(int(version))+" from "+host, func(t *testing.T) {
				w := newWorld(t, true, Settings{ProxyProtocol: version}, nil)
				conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(int(w.port))))
				if err != nil {
					t.Skip(err)
				}
				c := tcptest.Own(t, conn.(*net.TCPConn))
				tcptest.Write(t, c, "after the header")
				_ = c.CloseWrite()
				in := bufio.NewReader(w.accept())
				h, err := proxyproto.Read(in)
				if err != nil {
					t.Fatal(err)
				}
				if h.Version != byte(version) || h.SourceAddr.String() != c.LocalAddr().String() || h.DestinationAddr.String() != c.RemoteAddr().String() {
					t.Errorf("header v%d %s → %s, want %s → %s", h.Version, h.SourceAddr, h.DestinationAddr, c.LocalAddr(), c.RemoteAddr())
				}
				if rest, err := io.ReadAll(in); string(rest) != "after the header" || err != nil {
					t.Errorf("after the header: %q, %v", rest, err)
				}
			})
		}
	}
}

func TestProxyHeaderBytes(t *testing.T) {
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	for _, tc := range []struct {
		version       ProxyProtocol
		client, local string
		want          string
	}{
		{1, "192.0.2.1:1234", "198.51.100.2:80", "PROXY TCP4 192.0.2.1 198.51.100.2 1234 80\r\n"},
		{1, "[::ffff:192.0.2.1]:1234", "[::ffff:198.51.100.2]:80", "PROXY TCP4 192.0.2.1 198.51.100.2 1234 80\r\n"},
		{1, "[2001:db8::1]:1234", "[2001:db8::2]:80", "PROXY TCP6 2001:db8::1 2001:db8::2 1234 80\r\n"},
		{1, "[fe80::1%eth0]:1234", "[fe80::2%eth0]:80", "PROXY TCP6 fe80::1 fe80::2 1234 80\r\n"},
		{2, "192.0.2.1:1234", "198.51.100.2:80", signature + "\x21\x11\x00\x0c" + "\xc0\x00\x02\x01\xc6\x33\x64\x02\x04\xd2\x00\x50"},
		{2, "[::ffff:192.0.2.1]:1234", "[::ffff:198.51.100.2]:80", signature + "\x21\x11\x00\x0c" + "\xc0\x00\x02\x01\xc6\x33\x64\x02\x04\xd2\x00\x50"},
		{2, "[2001:db8::1]:1234", "[2001:db8::2]:80", signature + "\x21\x21\x00\x24" +
			"\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x02\x04\xd2\x00\x50"},
	} {
		got, err := tc.version.header(netip.MustParseAddrPort(tc.client), netip.MustParseAddrPort(tc.local))
		if err != nil || string(got) != tc.want {
			t.Errorf("v%d %s → %s: %q, %v; want %q", tc.version, tc.client, tc.local, got, err, tc.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	target := newTarget(true)
	got := Settings{}.withDefaults(target)
	if got.WakeTimeout != DefaultWakeTimeout || got.MaxHeld != DefaultMaxHeld || got.Target != target {
		t.Errorf("defaults %+v", got)
	}
	for i, o := range Outcomes() {
		if int(o) != i || o.String() == "" {
			t.Errorf("outcome %d has the name %q", i, o)
		}
	}
}

// Settings changed while connections are served apply to the next.
func TestSetSettingsWhileServing(t *testing.T) {
	w := newWorld(t, false, Settings{MaxHeld: 1}, nil)
	w.echo()
	first := w.dial()
	w.wantHeld(1)
	w.SetSettings(Settings{MaxHeld: 2, Affinity: true})
	second := w.dial()
	w.wantHeld(2)
	w.wantReset()
	w.target.wake()
	wantEcho(t, first)
	wantEcho(t, second)
}

// A connection releases the target that it has acquired, not the one that is set by then.
func TestTargetChangesWhileServing(t *testing.T) {
	w := newWorld(t, true, Settings{}, nil)
	w.echo()
	before := w.dial()
	wantEcho(t, before)
	next := newTarget(true)
	w.SetSettings(Settings{Target: next})
	after := w.dial()
	wantEcho(t, after)
	uses := func(ft *fakeTarget) int { n, _, _ := ft.counts(); return n }
	if uses(w.target) != 1 || uses(next) != 1 {
		t.Errorf("%d uses of the old target, %d of the new; want 1, 1", uses(w.target), uses(next))
	}
	_ = before.Close()
	tcptest.Eventually(t, "the old target is released", func() bool { return uses(w.target) == 0 })
	if uses(next) != 1 {
		t.Errorf("%d uses of the new target, want 1", uses(next))
	}
}

// A connection that read the settings before they changed may meet a target that has retired since.
func TestRetiredTarget(t *testing.T) {
	w := newWorld(t, false, Settings{}, nil)
	w.echo()
	held := w.dial()
	w.wantWaiting(1)
	next := newTarget(true)
	w.SetSettings(Settings{Target: next})
	w.target.fail(ErrRetired)
	wantEcho(t, held)
	if uses, _, _ := next.counts(); uses != 1 {
		t.Errorf("%d uses of the next target, want 1", uses)
	}

	// Without a next one there is nothing to try again.
	next.sleep()
	next.fail(ErrRetired)
	w.wantReset()
	w.wantEnded(WakeError, 1)
}
