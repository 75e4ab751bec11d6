package main

import (
	"slices"
	"sync"
	"time"

	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/test/soak/call"
	"tpa.dev/tpa/test/soak/fault"
)

// excuse is why a lost connection is laid to a fault and not to TPA.
type excuse string

const (
	unexcused excuse = ""
	// inside: it was inside what the fault ended, cut off or broke.
	inside excuse = "inside"
	// unnoticed: the Service still led to the address of a process that had been ended.
	unnoticed excuse = "unnoticed"
)

const (
	// endWithin is how long it takes a process to end once it was struck, and a client to see that: its kernel says so at
	// once.
	endWithin = 2 * time.Second
	// noticeWithin is how long Services may lead to a process that was ended: until the kubelet, the EndpointSlice
	// controller and kube-proxy each had their turn, or the container has been started again.
	noticeWithin = 10 * time.Second
	// goneWithin is how long a pod takes to end that was told to: its grace period of 10 s, and some.
	goneWithin = 15 * time.Second
	// dialedWithin is how long a connection may still be led to a pod that was told to end, which serves on for that long.
	dialedWithin = stopDelay
)

// strike is a fault at work, or one that was.
type strike struct {
	fault fault.Fault

	mu      sync.Mutex
	victims []fault.Victim
	healed  time.Time // the zero time while it lasts
}

func (s *strike) struck(v fault.Victim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.victims = append(s.victims, v)
}

func (s *strike) heal(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.healed = at
}

// facts are what an excuse must be proven by: see watch.
type facts interface {
	placeOf(address string) place
	nodeOf(pod string) string
}

// excuses says whether the fault cost a connection, by what it struck and when.
func (s *strike) excuses(c connection, known facts) excuse {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.victims {
		if e := s.victim(v, c, known); e != unexcused {
			return e
		}
	}
	return unexcused
}

// victim is excuses for one of them; mu is held.
func (s *strike) victim(v fault.Victim, c connection, known facts) excuse {
	if c.ended.Before(v.At) {
		return unexcused
	}
	begunBefore := func(t time.Time) bool { return c.begun.Before(t) }
	unhealed := s.healed.IsZero() || begunBefore(s.healed)
	switch {
	case s.fault.MayLose == fault.Nothing:
	case v.IP != "" && c.via == v.IP:
		kind := c.kind()
		if (kind == kit.Reset || kind == call.End) && c.ended.Before(v.At.Add(endWithin)) {
			return inside
		}
		if kind == kit.Refused && begunBefore(v.At.Add(noticeWithin)) {
			return unnoticed
		}
	case v.Node != "":
		on := c.from.Name == v.Node || known.placeOf(c.via).node == v.Node || known.nodeOf(c.who.Pod) == v.Node
		if on && unhealed {
			return inside
		}
	case v.Target != "" && slices.Contains(c.service.targets, v.Target):
		if v.Down && unhealed {
			return inside
		}
		if begunBefore(v.At.Add(dialedWithin)) && c.ended.Before(v.At.Add(goneWithin)) {
			return inside
		}
	}
	return unexcused
}
