//go:build integration

package main

import (
	"testing"
	"time"
)

// writesPerService is how many writes the opt-in of a Service may take at most, its share of the namespace's proxy, at
// ten Services a namespace, included: its ports, its phase, its target's Lease, and four objects for each namespace.
const writesPerService = 3.5

// TestSize runs a small version of the benchmark and asserts what holds at any size. Figures are for the large one.
func TestSize(t *testing.T) {
	r, err := measure(t.Context(), options{
		services: 200, namespaces: 20, peace: 10 * time.Second, rounds: 2, calls: 100,
		webhook: "../../bin/webhook", yes: "../../bin/yes",
	}, func(step string) { t.Log(step) })
	if err != nil {
		t.Fatal(err) // all are Active in the end, and restored, or it says why not
	}
	if err := r.print(t.Output()); err != nil {
		t.Error(err)
	}
	if n := float64(r.OptIn.ToRest.writes()) / float64(r.Services); n > writesPerService {
		t.Errorf("%.2f writes per Service to opt in, at most %.2f are allowed", n, writesPerService)
	}
	if n := r.Peace.reads() + r.Peace.writes() + r.Peace.events(); n > 0 {
		t.Errorf("%d requests while nothing happens: %v", n, r.Peace.Requests)
	}
	if n := r.Restart.writes(); n > 0 {
		t.Errorf("a restart leaves %d writes to do: %v", n, r.Restart.Requests)
	}
	if r.OptOut.Left > 0 {
		t.Errorf("%d objects are left after the opt-out", r.OptOut.Left)
	}
}
