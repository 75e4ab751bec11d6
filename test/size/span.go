package main

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// calm is for how long TPA must have nothing to do to be at rest. It is longer than any pause that it makes while
// something is still to be done: it looks a second time after 5 s at a namespace that was opted in.
const calm = 6 * time.Second

// span is a part of the run.
type span struct {
	// Seconds that it took.
	Seconds float64 `json:"seconds"`
	// Requests of TPA's user, by kind, leader election's included.
	Requests map[string]int `json:"requests"`
	// ServerSeconds is how long the API server took to answer them, one after the other and watches left out.
	ServerSeconds float64 `json:"serverSeconds"`
	// CPU seconds by process.
	CPU map[string]float64 `json:"cpuSeconds"`
}

// count returns how many requests are among some kinds.
func (s span) count(among func(verb, object string) bool) int {
	n := 0
	for kind, times := range s.Requests {
		verb, object, _ := strings.Cut(kind, " ")
		if object != "the leader's lease" && among(verb, object) {
			n += times
		}
	}
	return n
}

// writes are those that change a user's or TPA's own objects. Events and questions to the API server are none.
func (s span) writes() int {
	return s.count(func(verb, object string) bool {
		return verb != "watch" && !reading(verb, object) && object != "events"
	})
}

func (s span) events() int {
	return s.count(func(verb, object string) bool { return !reading(verb, object) && object == "events" })
}

func (s span) reads() int { return s.count(reading) }

func (s span) watches() int {
	return s.count(func(verb, _ string) bool { return verb == "watch" })
}

func reading(verb, object string) bool {
	return verb == "get" || verb == "list" || object == "subjectaccessreviews"
}

// clock measures a span.
type clock struct {
	b     *bench
	began time.Time
	mark  int64
	cpu   map[string]float64
}

func (b *bench) begin() (clock, error) {
	c := clock{b: b, began: time.Now()}
	var err error
	if c.mark, err = b.audit.Mark(); err != nil {
		return c, err
	}
	c.cpu, err = cpuTimes()
	return c, err
}

// end returns what there was since the beginning.
func (c clock) end() (span, error) {
	s := span{Seconds: time.Since(c.began).Seconds(), Requests: map[string]int{}}
	events, _, err := c.b.audit.Since(c.mark)
	if err != nil {
		return s, err
	}
	for i := range events {
		e := &events[i]
		s.Requests[kind(e)]++
		if e.Verb != "watch" {
			s.ServerSeconds += e.StageTimestamp.Sub(e.RequestReceivedTimestamp.Time).Seconds()
		}
	}
	if s.CPU, err = cpuTimes(); err != nil {
		return s, err
	}
	for name := range s.CPU {
		s.CPU[name] = max(0, s.CPU[name]-c.cpu[name])
	}
	maps.DeleteFunc(s.CPU, func(_ string, seconds float64) bool { return seconds < 0.01 })
	return s, nil
}

// atRest waits until the controller leads, has looked at every namespace, and has asked nothing for a while. It returns
// when it came to lead, and when it last had anything to do.
func (c clock) atRest(ctx context.Context) (leads, rests time.Time, err error) {
	const patience = 15 * time.Minute
	mark, seen := c.mark, "nothing"
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		events, next, err := c.b.audit.Since(mark)
		if err != nil {
			return false, err
		}
		mark = next
		for i := range events {
			if at := events[i].StageTimestamp.Time; !leaderElection(&events[i]) && at.After(rests) {
				rests, seen = at, kind(&events[i])
			}
		}
		m, err := c.b.tpa.scrape(ctx)
		if err != nil {
			seen = err.Error()
			return false, nil // it has not started yet
		}
		now := time.Now()
		if leads.IsZero() && isLeader(m) {
			leads = now
		}
		if !isIdle(m, c.b.namespaces) {
			rests, seen = now, "it has something to do"
		}
		return now.Sub(rests) >= calm, nil
	})
	if err != nil {
		return leads, rests, fmt.Errorf("wait until it is at rest: %w; last seen: %s", err, seen)
	}
	return leads, rests, nil
}
