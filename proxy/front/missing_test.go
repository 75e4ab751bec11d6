package front

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// TestMissingTargetHoldsNobody: held connections are refused when the target turns out not to exist, wherever they wait,
// new ones at once, and all is as before when it is there again.
func TestMissingTargetHoldsNobody(t *testing.T) {
	for _, awake := range []bool{false, true} { // they wait for the target, or for a backend
		w := newWorld(t, awake, Settings{WakeTimeout: time.Minute}, nil)
		w.echo()
		w.SetBackends(w.port, nil)
		held := w.dial()
		w.wantHeld(1)
		var missed atomic.Int64
		missing := Settings{WakeTimeout: time.Minute, OnMissing: func() { missed.Add(1) }}
		w.SetSettings(missing)
		tcptest.WantReset(t, held)
		w.wantEnded(RefusedMissing, 1)
		if missed.Load() != 0 {
			t.Error("the connection that was held is told of as a new one")
		}
		w.SetSettings(missing) // as after each change of anything
		w.wantReset()
		w.wantEnded(RefusedMissing, 2)
		if missed.Load() != 1 {
			t.Errorf("told of %d connections, want 1", missed.Load())
		}
		w.wantHeld(0)
		if got := <-w.held; got.Outcome != RefusedMissing {
			t.Errorf("held until %s", got.Outcome)
		}

		w.SetSettings(Settings{WakeTimeout: time.Minute})
		again := w.dial()
		w.wantHeld(1)
		w.SetBackends(w.port, []netip.AddrPort{w.addr})
		if !awake {
			w.target.wake()
		}
		wantEcho(t, again)
	}
}

// TestMissingTargetWithBackendsServes: pods may outlive what made them.
func TestMissingTargetWithBackendsServes(t *testing.T) {
	w := newWorld(t, true, Settings{}, nil)
	w.echo()
	before := w.dial()
	wantEcho(t, before)
	w.SetSettings(Settings{OnMissing: func() {}})
	wantEcho(t, before)
	wantEcho(t, w.dial())
}
