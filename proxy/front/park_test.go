package front

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// silentFor is the ParkAfter of these tests. Nothing here depends on how long it is.
const silentFor = 20 * time.Millisecond

func (w *world) wantParked(n int64) {
	w.tb.Helper()
	tcptest.Eventually(w.tb, "the wanted number of parked connections", func() bool {
		w.target.mu.Lock()
		defer w.target.mu.Unlock()
		return w.Stats().Parked() == n && len(w.target.parked) == int(n)
	})
}

func (t *fakeTarget) inUse() int { uses, _, _ := t.counts(); return uses }

func (t *fakeTarget) lastUse() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used
}

func TestSilentConnectionIsParkedAndCountsAgain(t *testing.T) {
	w := newWorld(t, true, Settings{ParkAfter: silentFor}, nil)
	c := w.dial()
	b := w.accept()
	for range 3 {
		tcptest.Write(t, c, "ping")
		tcptest.WantRead(t, b, "ping")
		w.wantParked(1)
		if uses := w.target.inUse(); uses != 0 {
			t.Errorf("%d uses of the target, want none", uses)
		}
		if used, last := w.target.lastUse(), w.Stats().LastBytes(); !used.Equal(last) {
			t.Errorf("used until %v, want until the last byte, %v", used, last)
		}
		tcptest.Write(t, b, "pong") // either side ends the silence
		tcptest.WantRead(t, c, "pong")
		if w.Stats().Active() != 1 {
			t.Errorf("%d active, want 1", w.Stats().Active())
		}
	}
	_ = c.Close()
	tcptest.WantEOF(t, b)
	_ = b.Close()
	w.wantEnded(Relayed, 1)
	if used, last := w.target.lastUse(), w.Stats().LastBytes(); !used.Equal(last) {
		t.Errorf("used until %v, want until the last byte, %v: an end is no traffic", used, last)
	}
}

// By default an open connection counts, and its end is the end of its use.
func TestSilentConnectionCountsByDefault(t *testing.T) {
	w := newWorld(t, true, Settings{}, nil)
	w.echo()
	c := w.dial()
	wantEcho(t, c)
	w.mu.Lock()
	due := w.sweepDue
	w.mu.Unlock()
	if due {
		t.Error("connections are looked at that may not be parked")
	}
	before := time.Now()
	_ = c.Close()
	w.wantEnded(Relayed, 1)
	if used := w.target.lastUse(); used.Before(before) {
		t.Errorf("used until %v, want until the end, after %v", used, before)
	}
}

func TestParkedConnectionsEndInGoodOrderWhenTheTargetDozes(t *testing.T) {
	w := newWorld(t, true, Settings{ParkAfter: silentFor}, nil)
	var clients, backends []*net.TCPConn
	for range 20 {
		clients = append(clients, w.dial())
		backends = append(backends, w.accept())
	}
	w.wantParked(20)
	w.target.doze()
	for i := range clients {
		tcptest.WantEOF(t, clients[i])
		tcptest.WantEOF(t, backends[i])
	}
	w.wantEnded(Dozed, 20)
}

// While the claim is not held, what a parked connection was sent waits. It is delivered once the claim is won, or ends with
// the connection if the target dozes instead; the target is not woken for it.
func TestParkedConnectionWaitsForTheClaim(t *testing.T) {
	for _, dozes := range []bool{false, true} {
		w := newWorld(t, true, Settings{ParkAfter: silentFor}, nil)
		c := w.dial()
		b := w.accept()
		w.wantParked(1)
		w.target.sleep() // only the claim is gone: who is parked may come back
		tcptest.Write(t, c, "ping")
		w.wantWaiting(1)
		if n := w.Stats().BytesToBackend(); n != 0 {
			t.Errorf("%d bytes passed without a claim", n)
		}
		if dozes {
			w.target.doze()
			tcptest.WantEOF(t, c)
			tcptest.WantEOF(t, b)
			w.wantEnded(Dozed, 1)
			continue
		}
		w.target.wake()
		tcptest.WantRead(t, b, "ping")
		tcptest.Write(t, b, "pong")
		tcptest.WantRead(t, c, "pong")
	}
}

// A connection that cannot get the claim in time is reset, as one that is held.
func TestParkedConnectionThatCannotComeBack(t *testing.T) {
	w := newWorld(t, true, Settings{ParkAfter: silentFor, WakeTimeout: 50 * time.Millisecond}, nil)
	c := w.dial()
	b := w.accept()
	w.wantParked(1)
	w.target.sleep()
	tcptest.Write(t, c, "ping")
	tcptest.WantReset(t, b)
	tcptest.WantReset(t, c)
	w.wantEnded(WakeTimeout, 1)
	if errs := w.errors(); len(errs) != 1 || !errors.Is(errs[0], errTimeout) {
		t.Errorf("errors %v, want the time-out", errs)
	}
}

// Close ends parked connections, those that wait to come back too.
func TestCloseEndsParkedConnections(t *testing.T) {
	w := newWorld(t, true, Settings{ParkAfter: silentFor}, nil)
	w.echo()
	silent, waits := w.dial(), w.dial()
	w.wantParked(2)
	w.target.sleep()
	tcptest.Write(t, waits, "ping")
	w.wantWaiting(1)
	w.Close()
	tcptest.WantReset(t, silent)
	w.wantEnded(Aborted, 2)
}

// Who no longer wants silent connections ignored gets those counted that were parked: one API write for each proxy.
func TestParkedConnectionsCountAgainWhenTheModeEnds(t *testing.T) {
	w := newWorld(t, true, Settings{ParkAfter: silentFor}, nil)
	w.echo()
	c, other := w.dial(), w.dial()
	w.wantParked(2)
	w.SetSettings(Settings{})
	w.wantParked(0)
	if uses := w.target.inUse(); uses != 2 {
		t.Errorf("%d uses, want 2", uses)
	}
	w.SetSettings(Settings{ParkAfter: silentFor})
	w.wantParked(2)
	w.target.sleep()
	w.SetSettings(Settings{})
	w.wantWaiting(2)
	w.target.wake()
	w.wantParked(0)
	wantEcho(t, c)
	wantEcho(t, other)
}

// Who keeps the target awake by other means lets all pass, and the next target counts them: also those that were parked.
func TestParkedConnectionsPassAnOpenAndAreCountedLater(t *testing.T) {
	w := newWorld(t, true, Settings{ParkAfter: silentFor}, nil)
	w.echo()
	c := w.dial()
	w.wantParked(1)
	w.target.sleep()
	w.SetSettings(Settings{ParkAfter: silentFor, Target: Open{}})
	w.wantParked(0)
	wantEcho(t, c)
	next := newTarget(true)
	w.SetSettings(Settings{ParkAfter: silentFor, Target: next})
	tcptest.Eventually(t, "the connection to be counted", func() bool { return next.inUse() == 1 })
	wantEcho(t, c)
	_ = c.Close()
	tcptest.Eventually(t, "the connection to be released", func() bool { return next.inUse() == 0 })
}

// Connections that do not count have nothing to give up.
func TestPassiveConnectionsAreNotParked(t *testing.T) {
	w := newWorld(t, true, Settings{ParkAfter: silentFor}, nil)
	if err := w.SetPorts([]Port{{Listen: w.port, Passive: true}}); err != nil {
		t.Fatal(err)
	}
	w.echo()
	passive := w.dial()
	wantEcho(t, passive)
	if err := w.SetPorts([]Port{{Listen: w.port}}); err != nil {
		t.Fatal(err)
	}
	counts := w.dial()
	wantEcho(t, counts)
	w.wantParked(1)
	w.target.doze()
	tcptest.WantEOF(t, counts)
	wantEcho(t, passive)
}

// Clients that speak at random, a target that loses its claim and dozes at random: what is sent is answered, or its
// connection ends; no use is left over, which the end of the world checks.
func TestParkAtRandom(t *testing.T) {
	w := newWorld(t, true, Settings{ParkAfter: time.Millisecond}, nil)
	w.echo()
	w.target.onDoze = func() { w.SetBackends(w.port, []netip.AddrPort{w.addr}) } // what a Service does there in earnest is to take them away
	stop := make(chan struct{})
	var target, clients sync.WaitGroup
	target.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(rand.N(3 * time.Millisecond)):
			}
			switch rand.N(8) {
			case 0:
				w.target.doze()
			case 1:
				w.target.sleep()
			default:
				continue
			}
			time.Sleep(rand.N(time.Millisecond))
			w.target.wake()
		}
	})
	var mu sync.Mutex
	var answered, ended int
	for range 16 {
		clients.Go(func() {
			for range 20 {
				a, e := w.talk()
				mu.Lock()
				answered, ended = answered+a, ended+e
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	close(stop)
	target.Wait()
	if answered == 0 || ended == 0 {
		t.Errorf("%d answered, %d ended: nothing was tried", answered, ended)
	}
	t.Logf("%d answered, %d connections ended", answered, ended)
}

// talk opens a connection and asks now and then, until it ends or there is no more to say.
func (w *world) talk() (answered, ended int) {
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(tcptest.Loopback(w.port)))
	if err != nil {
		w.tb.Error(err)
		return 0, 0
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(tcptest.Patience))
	for range 10 {
		time.Sleep(rand.N(3 * time.Millisecond))
		if _, err := c.Write([]byte("ping")); err != nil {
			return answered, 1
		}
		var reply [4]byte
		n, err := io.ReadFull(c, reply[:])
		switch {
		case err == nil && string(reply[:]) == "ping":
			answered++
		case n == 0 && !isTimeout(err):
			return answered, 1
		default:
			w.tb.Errorf("%q, %v instead of an answer or an end", reply[:n], err)
			return answered, 1
		}
	}
	return answered, 0
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// A parked connection whose target has retired acquires the one that the Service has by then.
func TestParkedConnectionComesBackToTheNextTarget(t *testing.T) {
	w := newWorld(t, true, Settings{ParkAfter: silentFor}, nil)
	w.echo()
	c := w.dial()
	w.wantParked(1)
	w.target.sleep()
	next := newTarget(true)
	w.SetSettings(Settings{ParkAfter: time.Hour, Target: next})
	w.target.fail(ErrRetired)
	wantEcho(t, c)
	if uses := next.inUse(); uses != 1 {
		t.Errorf("%d uses of the next target, want 1", uses)
	}
	_ = c.Close()
	tcptest.Eventually(t, "the next target is released", func() bool { return next.inUse() == 0 })
}
