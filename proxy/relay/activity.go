package relay

import (
	"sync/atomic"
	"time"
)

// Activity counts what sessions move, while they move it. The zero value is ready, any number of sessions may share one,
// and everything may be read at any time.
type Activity struct {
	toBackend atomic.Int64
	toClient  atomic.Int64
	last      atomic.Int64 // Unix milliseconds
}

// ToBackend returns the bytes that backends have been given.
func (a *Activity) ToBackend() int64 { return a.toBackend.Load() }

// ToClient returns the bytes that clients have been given.
func (a *Activity) ToClient() int64 { return a.toClient.Load() }

// Last returns when bytes last moved, in either direction, to the millisecond; the zero time if they never have.
func (a *Activity) Last() time.Time {
	ms := a.last.Load()
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// moved records n bytes, and returns now in Unix milliseconds. It runs once for every turn of a flow, and stores once: the
// time only changes now and then.
func (a *Activity) moved(counter *atomic.Int64, n int, now time.Time) int64 {
	counter.Add(int64(n))
	ms := now.UnixMilli()
	if a.last.Load() < ms {
		a.last.Store(ms)
	}
	return ms
}
