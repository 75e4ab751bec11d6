package status

import (
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/tools/cache"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

func TestWakes(t *testing.T) {
	start := time.Date(2026, 1, 1, 12, 20, 0, 0, time.UTC)
	now := start
	w := NewWakes(func() time.Time { return now })
	lease := func(name string, wakes int64) *coordinationv1.Lease {
		return targetLease(name, sleep.State{Phase: sleep.Awake}, &contract.History{Wakes: wakes})
	}
	w.OnAdd(lease("web", 40), true) // before
	w.OnAdd(lease("new", 1), false)
	w.OnUpdate(lease("web", 40), lease("web", 40))
	now = start.Add(time.Hour)
	w.OnUpdate(lease("web", 40), lease("web", 42))
	w.OnDelete(cache.DeletedFinalStateUnknown{Obj: lease("web", 42)})
	w.OnAdd(lease("web", 1), false) // made anew
	broken := lease("web", 0)
	broken.Annotations[contract.HistoryKey] = "{"
	w.OnUpdate(lease("web", 1), broken)
	w.OnUpdate(broken, lease("web", 2))

	var got []int64
	known := 0
	for _, h := range w.Hours() {
		got = append(got, h.Wakes)
		if h.Known {
			known++
		}
	}
	want := make([]int64, hoursBack)
	want[hoursBack-2], want[hoursBack-1] = 1, 4
	if !slices.Equal(got, want) || known != 2 {
		t.Errorf("%v, of which %d are known; want %v and 2", got, known, want)
	}
	if last := w.Hours()[hoursBack-1].From; !last.Equal(time.Date(2026, 1, 1, 13, 0, 0, 0, time.UTC)) {
		t.Errorf("the last hour begins at %s", last)
	}

	c := newChart(w)
	if c.All != 5 || c.Most != 4 || c.Bars[hoursBack-1].Height != barHeight || c.Bars[hoursBack-2].Height != barHeight/4 ||
		c.Bars[hoursBack-1].Y != 0 || c.Bars[hoursBack-2].Y != barHeight*3/4 {
		t.Errorf("%+v", c)
	}

	now = start.Add(30 * time.Hour)
	w.OnUpdate(lease("web", 2), lease("web", 3))
	if len(w.hours) != 1 || newChart(w).All != 1 {
		t.Errorf("after a day %v is kept", w.hours)
	}
}
