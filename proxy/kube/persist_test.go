package kube

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// An API server that is away for long is asked again within pauseMax of its return; its refusals are passed on.
func TestUntilAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(10 * time.Minute)
		asked := 0
		answer, err := untilAnswered(t.Context(), func() (string, error) {
			asked++
			if time.Now().Before(back) {
				return "", syscall.ECONNREFUSED
			}
			return "here", nil
		})
		if late := time.Since(back); answer != "here" || err != nil || late > pauseMax {
			t.Errorf("%q, %v, %s late", answer, err, late)
		}
		if asked > 700 {
			t.Errorf("asked %d times in 10 minutes", asked)
		}
	})
}

func TestUntilAnsweredRefused(t *testing.T) {
	refusal := apierrors.NewTooManyRequests("wait", 1)
	if _, err := untilAnswered(t.Context(), func() (int, error) { return 0, refusal }); !errors.Is(err, refusal) {
		t.Errorf("%v, want the refusal itself", err)
	}
}

func TestUntilAnsweredEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := untilAnswered(ctx, func() (int, error) { return 0, syscall.ECONNREFUSED })
		if took := time.Since(start); !errors.Is(err, syscall.ECONNREFUSED) || took != time.Minute {
			t.Errorf("%v after %s, want the last error after 1m", err, took)
		}
	})
}
