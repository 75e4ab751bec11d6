package relay

import (
	"sync/atomic"
	"time"
)

// Activity counts what relays move, while they move it. The zero value is ready, any number of relays may share one,
// and everything may be read at any time.
type Activity struct {
	toBackend atomic.Int64
	toClient  atomic.Int64
	last      atomic.Int64
}

// ToBackend returns the bytes that backends have been given.
func (a *Activity) ToBackend() int64 { return a.toBackend.Load() }

// ToClient returns the bytes that clients have been given.
func (a *Activity) ToClient() int64 { return a.toClient.Load() }

// Last returns when bytes last moved, in either direction; the zero time if they never have.
func (a *Activity) Last() time.Time {
	ns := a.last.Load()
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// moved records n bytes. It runs once for every wake-up of a flow, not once for every byte.
func (a *Activity) moved(counter *atomic.Int64, n int) {
	counter.Add(int64(n))
	a.last.Store(time.Now().UnixNano())
}
