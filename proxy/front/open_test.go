package front

import (
	"testing"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// Connections that nobody counted are counted by the next target, and wake it: it must not sleep under them.
func TestOpenIsCountedByTheNextTarget(t *testing.T) {
	w := newWorld(t, true, Settings{Target: Open{}}, nil)
	w.echo()
	ended, stays := w.dial(), w.dial()
	wantEcho(t, ended)
	wantEcho(t, stays)
	_ = ended.Close()
	w.wantEnded(Relayed, 1)
	w.SetSettings(Settings{Target: Open{}})
	if _, acquired, _ := w.target.counts(); acquired != 0 {
		t.Errorf("%d acquired a target that was not set", acquired)
	}

	next := newTarget(false)
	w.SetSettings(Settings{Target: next})
	waits := func(n int) func() bool { return func() bool { _, _, waiting := next.counts(); return waiting == n } }
	tcptest.Eventually(t, "the connection to wake the target", waits(1))
	w.SetSettings(Settings{Target: next, MaxHeld: 7})
	next.wake()
	uses := func(n int) func() bool { return func() bool { uses, _, _ := next.counts(); return uses == n } }
	tcptest.Eventually(t, "the connection to be counted", uses(1))
	wantEcho(t, stays)
	_ = stays.Close()
	tcptest.Eventually(t, "the connection to be released", uses(0))
	if _, acquired, _ := next.counts(); acquired != 1 {
		t.Errorf("acquired %d times, want once", acquired)
	}
}

// A connection that ends while it waits to be counted is forgotten.
func TestOpenEndsUncounted(t *testing.T) {
	w := newWorld(t, true, Settings{Target: Open{}}, nil)
	w.echo()
	c := w.dial()
	wantEcho(t, c)
	next := newTarget(false)
	w.SetSettings(Settings{Target: next})
	tcptest.Eventually(t, "the wait", func() bool { _, _, waiting := next.counts(); return waiting == 1 })
	_ = c.Close()
	w.wantEnded(Relayed, 1)
	if uses, acquired, waiting := next.counts(); uses+acquired+waiting != 0 {
		t.Errorf("%d uses, %d acquired, %d wait; want none", uses, acquired, waiting)
	}
}

// A target that has retired before it counted a connection leaves that to the next one, whether that is there already or
// comes after another Open.
func TestOpenIsCountedAfterARetiredTarget(t *testing.T) {
	for _, between := range []Settings{{MaxHeld: 1}, {MaxHeld: 1, Target: Open{}}} {
		w := newWorld(t, true, Settings{Target: Open{}}, nil)
		w.echo()
		c := w.dial()
		wantEcho(t, c)
		retired, next := newTarget(false), newTarget(true)
		w.SetSettings(Settings{Target: retired})
		tcptest.Eventually(t, "the wait", func() bool { _, _, waiting := retired.counts(); return waiting == 1 })
		if between.Target == nil {
			between.Target = next
		}
		w.SetSettings(between)
		retired.fail(ErrRetired)
		tcptest.Eventually(t, "the end of the wait", func() bool { _, _, waiting := retired.counts(); return waiting == 0 })
		w.SetSettings(Settings{Target: next})
		tcptest.Eventually(t, "the use", func() bool { uses, _, _ := next.counts(); return uses == 1 })
		_ = c.Close()
		tcptest.Eventually(t, "the release", func() bool { uses, _, _ := next.counts(); return uses == 0 })
	}
}
