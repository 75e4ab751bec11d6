package main

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// TestPartsAddUp: whatever is divided among clients is done by all of them together.
func TestPartsAddUp(t *testing.T) {
	for _, of := range []int{0, 1, 3, 7, 20_000} {
		for n := 1; n < 9; n++ {
			sum := 0
			for i := range n {
				sum += share(of, n, i)
			}
			if sum != of {
				t.Errorf("%d parts of %d add up to %d", n, of, sum)
			}
		}
	}
}

func TestRequestsAtOnce(t *testing.T) {
	request := func(verb string, from, to int) auditv1.Event {
		at := func(s int) metav1.MicroTime { return metav1.NewMicroTime(time.Unix(int64(s), 0)) }
		return auditv1.Event{Verb: verb, RequestReceivedTimestamp: at(from), StageTimestamp: at(to)}
	}
	events := []auditv1.Event{request("get", 0, 2), request("get", 1, 3), request("get", 2, 4), request("watch", 0, 9), request("get", 5, 6)}
	if got := atOnce(events); got != 2 {
		t.Errorf("%d at once, want 2", got)
	}
}
