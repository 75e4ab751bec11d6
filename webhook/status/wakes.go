package status

import (
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"tpa.dev/tpa/proxy/contract"
)

// hoursBack is for how many hours Wakes remembers, the present one included.
const hoursBack = 24

// Hour is how many wakes there were in an hour.
type Hour struct {
	// From is when it began; UTC.
	From time.Time
	// Wakes are those that were seen.
	Wakes int64
	// Known says that Wakes saw at least a part of the hour.
	Known bool
}

// Wakes counts the wakes of all targets by the hour, for a day back, in memory: it takes the events of an informer of the
// targets' Leases, and knows nothing of before it was made.
type Wakes struct {
	now   func() time.Time
	since time.Time

	mu    sync.Mutex
	seen  map[types.NamespacedName]int64
	hours map[time.Time]int64
}

var _ cache.ResourceEventHandler = (*Wakes)(nil)

// NewWakes returns one that begins now.
func NewWakes(now func() time.Time) *Wakes {
	return &Wakes{now: now, since: now().UTC(), seen: map[types.NamespacedName]int64{}, hours: map[time.Time]int64{}}
}

// OnAdd takes in a Lease; what the first of them have counted was before.
func (w *Wakes) OnAdd(o any, first bool) { w.take(o, first) }

// OnUpdate takes in how a Lease is now.
func (w *Wakes) OnUpdate(_, o any) { w.take(o, false) }

// OnDelete forgets a Lease.
func (w *Wakes) OnDelete(o any) {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	if lease, ok := o.(*coordinationv1.Lease); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.seen, types.NamespacedName{Namespace: lease.Namespace, Name: lease.Name})
	}
}

func (w *Wakes) take(o any, first bool) {
	lease, ok := o.(*coordinationv1.Lease)
	if !ok || lease.Annotations[contract.HistoryKey] == "" {
		return
	}
	history, err := contract.ParseHistory(lease.Annotations[contract.HistoryKey])
	if err != nil {
		return // it is for people, and counts again once it can be read
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	name := types.NamespacedName{Namespace: lease.Namespace, Name: lease.Name}
	more := history.Wakes - w.seen[name]
	w.seen[name] = history.Wakes
	if more <= 0 || first {
		return
	}
	now := w.now().UTC()
	w.hours[now.Truncate(time.Hour)] += more
	for from := range w.hours {
		if from.Before(oldest(now)) {
			delete(w.hours, from)
		}
	}
}

func oldest(now time.Time) time.Time {
	return now.Truncate(time.Hour).Add(-(hoursBack - 1) * time.Hour)
}

// Since is when it began to count.
func (w *Wakes) Since() time.Time { return w.since }

// Hours returns the last 24 hours, the present one last.
func (w *Wakes) Hours() []Hour {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := oldest(w.now().UTC())
	hours := make([]Hour, hoursBack)
	for i := range hours {
		hours[i] = Hour{From: from, Wakes: w.hours[from], Known: from.Add(time.Hour).After(w.since)}
		from = from.Add(time.Hour)
	}
	return hours
}
