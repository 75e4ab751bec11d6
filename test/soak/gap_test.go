package main

import (
	"reflect"
	"testing"
	"time"
)

func TestScheduleIsReproducible(t *testing.T) {
	draw := func(seed uint64) (gaps []time.Duration, visits [][]visit) {
		s := newSchedule(seed, 3)
		for range 100 {
			visits = append(visits, s.burst(3, 2, 2*time.Second))
			gaps = append(gaps, s.gap(2*time.Second))
		}
		return gaps, visits
	}
	gaps, visits := draw(1)
	againGaps, againVisits := draw(1)
	if !reflect.DeepEqual(gaps, againGaps) || !reflect.DeepEqual(visits, againVisits) {
		t.Error("one seed drew two schedules")
	}
	if otherGaps, _ := draw(2); reflect.DeepEqual(gaps, otherGaps) {
		t.Error("two seeds drew one schedule")
	}
}

// TestGapsAreDenseAtTheDecision: that is what makes the soak one.
func TestGapsAreDenseAtTheDecision(t *testing.T) {
	const n = 10_000
	idle := 3 * time.Second
	s := newSchedule(1, 0)
	early, late, longest := 0, 0, time.Duration(0)
	for range n {
		gap := s.gap(idle)
		if gap < 0 {
			t.Fatalf("a gap of %s", gap)
		}
		switch d := gap - idle; {
		case d > -50*time.Millisecond && d <= 0:
			early++
		case d > 0 && d <= 100*time.Millisecond:
			late++
		}
		longest = max(longest, gap)
	}
	if early < n/20 || late < n/3 {
		t.Errorf("of %d gaps %d ended within 50ms before the time-out, %d within 100ms after it", n, early, late)
	}
	if longest > idle+2*time.Second {
		t.Errorf("the longest is %s", longest)
	}
}

func TestBurst(t *testing.T) {
	s := newSchedule(1, 0)
	services, nodes := map[int]bool{}, map[int]bool{}
	for range 1000 {
		visits := s.burst(3, 2, time.Second)
		if len(visits) == 0 || visits[0].after != 0 {
			t.Fatalf("the first does not come at once: %+v", visits)
		}
		for _, v := range visits {
			services[v.service], nodes[v.node] = true, true
		}
	}
	if len(services) != 3 || len(nodes) != 2 {
		t.Errorf("called services %v from nodes %v", services, nodes)
	}
}
