package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// TestStatusLimit: what one client of the page has used up, the other one has not, either.
func TestStatusLimit(t *testing.T) {
	read, err := statusReader(&rest.Config{Host: "http://127.0.0.1:1"}) // where nobody listens
	if err != nil {
		t.Fatal(err)
	}
	limiter, requests := read.Client.CoreV1().RESTClient().GetRateLimiter(), 0
	for limiter.TryAccept() {
		requests++
	}
	if requests < statusBurst || requests > statusBurst+statusQueries {
		t.Errorf("%d requests at once, want %d", requests, statusBurst)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second/statusQueries/4)
	defer cancel()
	_, err = read.Scales.Get(ctx, "shop", schema.GroupResource{Group: "apps", Resource: "deployments"}, "web")
	if err == nil || !strings.Contains(err.Error(), "rate limiter") {
		t.Errorf("a scale may be read at once: %v", err)
	}
}
