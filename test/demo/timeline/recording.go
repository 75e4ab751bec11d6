// Package timeline draws how a workload fell asleep and was woken, as an SVG image.
//
// It draws a Recording: what somebody saw of the workload's replicas and pods, and of its clients' connections. It adds
// nothing, and refuses a Recording that does not hold the whole story:
//
//	err := timeline.Recording{App: "web", States: states, Requests: requests, End: time.Now()}.WriteSVG(file)
//
// It does not watch anything itself.
package timeline

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Recording is what was seen of one workload, by one clock.
type Recording struct {
	// App is the name of the Deployment, and of its Service.
	App string
	// IdleTimeout is what the Service was annotated with.
	IdleTimeout time.Duration
	// States are in order. Each holds until the next.
	States []State
	// Requests are in any order.
	Requests []Request
	// End is until when it was looked at.
	End time.Time
}

// State is what there was of the workload from a time on.
type State struct {
	At time.Time
	// Replicas is how many were wanted.
	Replicas int
	// Pods is how many there were. Ready is how many of them were ready and not told to end.
	Pods, Ready int
}

// Request is one request on a connection of its own.
type Request struct {
	// At is when the connection was begun, Took how long it was until the whole answer, or until it was lost.
	At   time.Time
	Took time.Duration
	Lost bool
}

// Before and behind the sleep, so much is drawn of the time in which it was used.
const inUse = 1500 * time.Millisecond

// Of a stretch in which nothing happens and that is longer than longest, only kept at both ends is drawn.
const longest, kept = 4 * time.Second, 1500 * time.Millisecond

// story is what is drawn. Its times count from the left end of the picture.
type story struct {
	app         string
	idleTimeout time.Duration
	end         time.Duration
	states      []moment      // the first at 0
	requests    []request     // by their beginning
	idle        time.Duration // when the last request before the sleep had its answer
	asleep      time.Duration // no replica is wanted any more
	gone        time.Duration // no pod is left
	awake       time.Duration // a replica is wanted again
	back        time.Duration // there is a pod again
	held        request       // the one that came while it slept
}

type moment struct {
	at                    time.Duration
	replicas, pods, ready int
}

type request struct {
	from, to time.Duration
	lost     bool
}

// lost is how many of the requests were.
func (s story) lost() int {
	n := 0
	for _, r := range s.requests {
		if r.lost {
			n++
		}
	}
	return n
}

// story finds the first sleep and the wake that ended it.
func (r Recording) story() (story, error) {
	fail := func(what string) (story, error) { return story{}, fmt.Errorf("recording of %s: %s", r.App, what) }
	next := func(from int, is func(State) bool) int {
		if i := slices.IndexFunc(r.States[from:], is); i >= 0 {
			return from + i
		}
		return len(r.States)
	}
	asleep := next(0, func(s State) bool { return s.Replicas == 0 })
	awake := next(asleep, func(s State) bool { return s.Replicas > 0 })
	gone := next(asleep, func(s State) bool { return s.Pods == 0 })
	back := next(gone, func(s State) bool { return s.Pods > 0 })
	switch {
	case asleep == len(r.States):
		return fail("it never slept")
	case asleep == 0:
		return fail("it slept from the beginning")
	case awake == len(r.States):
		return fail("it never woke")
	case gone >= awake:
		return fail("it was woken before its pods had ended")
	case back == len(r.States):
		return fail("no pod came back")
	}

	requests := slices.SortedFunc(slices.Values(r.Requests), func(a, b Request) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Took, b.Took)) })
	held := slices.IndexFunc(requests, func(q Request) bool { return !q.At.Before(r.States[asleep].At) })
	switch {
	case held == 0 || len(requests) == 0:
		return fail("nobody asked before it slept")
	case held < 0 || requests[held].At.After(r.States[awake].At):
		return fail("it was not a request that woke it")
	case requests[held].Lost:
		return fail("the request that woke it was lost")
	case requests[held].At.Add(requests[held].Took).After(r.End):
		return fail("it was not looked at until the answer")
	}
	var idle time.Time
	for _, q := range requests[:held] {
		if answered := q.At.Add(q.Took); answered.After(idle) {
			idle = answered
		}
	}
	if idle.After(r.States[asleep].At) {
		return fail("it slept while a request was on its way")
	}

	begin := latest(idle.Add(-inUse), requests[0].At, r.States[0].At)
	end := requests[held].At.Add(requests[held].Took + inUse)
	if r.End.Before(end) {
		end = r.End
	}
	at := func(t time.Time) time.Duration { return t.Sub(begin) }
	s := story{
		app: r.App, idleTimeout: r.IdleTimeout, end: at(end),
		idle: at(idle), asleep: at(r.States[asleep].At), gone: at(r.States[gone].At), awake: at(r.States[awake].At), back: at(r.States[back].At),
	}
	for _, state := range r.States {
		m := moment{max(0, at(state.At)), state.Replicas, state.Pods, state.Ready}
		switch {
		case m.at > s.end:
		case m.at == 0 && len(s.states) > 0:
			s.states[0] = m
		default:
			s.states = append(s.states, m)
		}
	}
	for i, q := range requests {
		drawn := request{at(q.At), at(q.At) + q.Took, q.Lost}
		if i == held {
			s.held = drawn
		}
		if drawn.from >= 0 && drawn.to <= s.end {
			s.requests = append(s.requests, drawn)
		}
	}
	return s, nil
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// cuts are the stretches that are not drawn: the middle of each long one in which nothing changes and nobody waits.
func (s story) cuts() []stretch {
	events := []time.Duration{0, s.end}
	for _, m := range s.states {
		events = append(events, m.at)
	}
	for _, r := range s.requests {
		events = append(events, r.from, r.to)
	}
	slices.Sort(events)
	var cuts []stretch
	for i, to := range events[1:] {
		from := events[i]
		waits := slices.ContainsFunc(s.requests, func(r request) bool { return r.from <= from && r.to >= to })
		if to-from > longest && !waits {
			cuts = append(cuts, stretch{from + kept, to - kept})
		}
	}
	return cuts
}
