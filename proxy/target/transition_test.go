package target

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// transitions collects what a Keeper has done.
type transitions struct {
	mu  sync.Mutex
	all []Transition
}

func (s *transitions) of(c *Config) {
	c.OnTransition = func(t Transition) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, t)
	}
}

func (s *transitions) want(t *testing.T, want ...Transition) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.all, cmp.Comparer(func(a, b Source) bool { return a == b })); diff != "" {
		t.Errorf("transitions (-want +got):\n%s", diff)
	}
	s.all = nil
}

// Of two proxies that see a round of sleep and wake, one tells of each part: the one that has brought it about.
func TestTransitionsAreToldByWhoBroughtThemAbout(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		c.scale.UID = "uid"
		var ofA, ofB transitions
		a, b := c.proxy("a", ofA.of), c.proxy("b", ofB.of)
		a.mustAcquire() // so that it was the last user, and the other one waits a moment longer
		a.Release(time.Now())
		after(idle + 10*time.Second)
		ofA.want(t, Transition{Change: FellAsleep, UID: "uid", Replicas: 3, Why: NoConnections, IdleTimeout: idle})
		ofB.want(t)

		a.SetReady(0, time.Time{})
		b.SetReady(0, time.Time{})
		b.hold()
		after(0)
		a.hold()
		after(time.Second)
		ofB.want(t, Transition{Change: Waking, UID: "uid", Replicas: 3, Source: source})
		b.SetReady(1, time.Now())
		b.Dialed(0)
		a.SetReady(1, time.Now())
		a.Dialed(0)
		after(0)
		ofB.want(t, Transition{Change: Woken, UID: "uid", Replicas: 3, Source: source, Took: time.Second})
		ofA.want(t)
		a.Release(time.Now())
		b.Release(time.Now())
	})
}

// Of a wake that came to nothing another Event tells, on the Service.
func TestWakeThatCameToNothingIsNotToldAsAwake(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		var of transitions
		p := c.proxy("a", of.of)
		after(idle + time.Second)
		p.SetReady(0, time.Time{})
		p.mustAcquire()
		p.Release(time.Now())
		after(time.Second)
		of.want(t,
			Transition{Change: FellAsleep, Replicas: 3, Why: NoConnections, IdleTimeout: idle},
			Transition{Change: Waking, Replicas: 3, Source: source})
	})
}
