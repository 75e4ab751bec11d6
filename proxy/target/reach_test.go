package target

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

type answer struct{ err error }

func (a answer) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusInternalServerError}, a.err
}

func TestReachRemembersFailuresToReachTheServer(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		lost bool
	}{
		{"an answer, even a bad one", nil, false},
		{"given up by this process", context.Canceled, false},
		{"no connection", errors.New("connection refused"), true},
		{"no answer in time", context.DeadlineExceeded, true},
	} {
		var r Reach
		if !r.Lost().IsZero() {
			t.Error("lost before anything was tried")
		}
		if _, err := r.Wrap(answer{tt.err}).RoundTrip(nil); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want it passed on", tt.name, err)
		}
		if lost := r.Lost(); lost.IsZero() == tt.lost || tt.lost && time.Since(lost) > time.Minute {
			t.Errorf("%s: lost at %v", tt.name, lost)
		}
	}
}
