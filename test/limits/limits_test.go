//go:build integration

package main

import (
	"os"
	"testing"

	"tpa.dev/tpa/test/bench/sandbox"
)

// TestMain lets this program start itself in its roles.
func TestMain(m *testing.M) {
	if program().InRole() {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestBudget has 2,000 connections where the benchmark has 20,000: none is lost, each is counted, and all is given back.
func TestBudget(t *testing.T) {
	err := sandbox.Run(t.Context(), sandbox.Inside, "budget", "--proxy=../../bin/proxy", "--conns=2000", "--services=20", "--patient=false")
	if err != nil {
		t.Fatal(err)
	}
}

// TestRest has 50 Services where the benchmark has 1,000: nothing is asked for while nothing happens.
func TestRest(t *testing.T) {
	err := sandbox.Run(t.Context(), sandbox.Inside, "rest", "--proxy=../../bin/proxy", "--services=50", "--peace=10s", "--rounds=2")
	if err != nil {
		t.Fatal(err)
	}
}
