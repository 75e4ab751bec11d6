package contract

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSleepsThatWouldHaveBeenAreNoSleeps(t *testing.T) {
	h := History{Sleeps: 1, Asleep: 60, Saved: Saved{Replicas: 60}}
	h = h.WouldHaveSlept(time.Minute, 2, Requests{CPU: 0.5, Memory: 10})
	h = h.WouldHaveSlept(time.Minute, 1, Requests{})
	h = h.WouldHaveSlept(-time.Minute, 1, Requests{}) // by clocks that differ
	want := History{
		Sleeps: 1, Asleep: 60, Saved: Saved{Replicas: 60},
		Observed: Observed{Sleeps: 3, Asleep: 120, Saved: Saved{Replicas: 180, CPU: 60, Memory: 1200}},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again, err := ParseHistory(h.String())
	if diff := cmp.Diff(h, again); err != nil || diff != "" {
		t.Errorf("read back: %v (-want +got):\n%s", err, diff)
	}
}
