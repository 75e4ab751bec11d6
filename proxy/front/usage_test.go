package front

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func TestConnsKeepTheirOrder(t *testing.T) {
	var l conns
	var model []*conn
	for range 2000 {
		if len(model) == 0 || rand.N(2) == 0 {
			c := &conn{}
			l.add(c)
			model = append(model, c)
		} else {
			i := rand.N(len(model))
			l.remove(model[i])
			model = slices.Delete(model, i, i+1)
		}
		if got := slices.Collect(l.all()); l.n != len(model) || !slices.Equal(got, model) {
			t.Fatalf("%d connections, %v, want %v", l.n, got, model)
		}
	}
}

// client is the address of a connection as the Service sees it.
func client(c net.Conn) netip.AddrPort { return c.LocalAddr().(*net.TCPAddr).AddrPort() }

func (w *world) oldest(n int) []netip.AddrPort {
	var clients []netip.AddrPort
	for _, c := range w.Oldest(n) {
		clients = append(clients, c.Addr)
	}
	return clients
}

func TestOldestNamesThoseThatKeepTheTargetAwake(t *testing.T) {
	w := newWorld(t, false, Settings{}, nil)
	w.echo()
	if err := w.SetPorts([]Port{{Listen: w.port, Number: 80}}); err != nil {
		t.Fatal(err)
	}
	if got := w.Oldest(3); got != nil {
		t.Errorf("%v of nobody", got)
	}
	began := time.Now()
	var clients []netip.AddrPort
	for n := range 4 { // which wake it
		clients = append(clients, client(w.dial()))
		w.wantWaiting(n + 1)
	}
	if got := w.oldest(3); !slices.Equal(got, clients[:3]) {
		t.Errorf("while they are held: %v, want %v", got, clients[:3])
	}
	w.target.wake()
	tcptest.Eventually(t, "all to be relayed", func() bool { return w.Stats().Active() == 4 })
	if got := w.oldest(10); !slices.Equal(got, clients) {
		t.Errorf("once they are relayed: %v, want %v", got, clients)
	}
	if c := w.Oldest(1)[0]; c.Port != 80 || c.Since.Before(began) || c.Since.After(time.Now()) {
		t.Errorf("%+v, want port 80, accepted after %s", c, began)
	}
}

func TestOldestLeavesOutWhoDoesNotCount(t *testing.T) {
	w := newWorld(t, true, Settings{ParkAfter: silentFor}, nil)
	silent := w.dial()
	b := w.accept()
	w.wantParked(1)
	if got := w.Oldest(3); got != nil {
		t.Errorf("%v, and it is parked", got)
	}
	w.SetSettings(Settings{})
	tcptest.Eventually(t, "it to count again", func() bool { return slices.Equal(w.oldest(3), []netip.AddrPort{client(silent)}) })
	_ = silent.Close()
	tcptest.WantEOF(t, b)
	_ = b.Close()

	w.SetSettings(Settings{IgnoreSources: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}})
	ignored := w.dial()
	_ = w.accept()
	tcptest.Eventually(t, "it to be relayed", func() bool { return w.Stats().Active() == 1 })
	if got := w.oldest(3); got != nil {
		t.Errorf("%v, and its source is ignored (%v)", got, client(ignored))
	}
}
