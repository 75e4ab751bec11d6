package target

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// Reach remembers when a process last failed to reach the API server, whatever it wanted there: a proxy that has nothing
// to ask about a target during an outage notices it by its watches. The zero value is ready to use.
type Reach struct{ lost atomic.Pointer[time.Time] }

// Lost returns when that was; the zero time if never.
func (r *Reach) Lost() time.Time {
	if at := r.lost.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Wrap has a transport's failures remembered. It fits rest.Config's Wrap.
func (r *Reach) Wrap(next http.RoundTripper) http.RoundTripper { return reaching{r, next} }

type reaching struct {
	reach *Reach
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper. A request that this process itself gave up says nothing.
func (t reaching) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err != nil && !errors.Is(err, context.Canceled) {
		at := now()
		t.reach.lost.Store(&at)
	}
	return response, err
}

// WrappedRoundTripper lets client-go find the transport underneath.
func (t reaching) WrappedRoundTripper() http.RoundTripper { return t.next }
