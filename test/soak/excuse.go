package main

import (
	"errors"
	"slices"
	"sync"
	"syscall"
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
	// unnoticed: the Service still led to the address of a process that had been ended, or of a pod that had gone while the
	// client's node was cut off.
	unnoticed excuse = "unnoticed"
)

const (
	// endWithin is how long it takes a process to end once it was struck: who is accepted meanwhile is inside, too.
	endWithin = 2 * time.Second
	// noticeWithin is how long Services may lead to a process that was ended: until the kubelet, the EndpointSlice
	// controller and kube-proxy each had their turn, or the container has been started again.
	noticeWithin = 10 * time.Second
	// relearnWithin is how long a node that was cut off may lead its clients by what it knew before: the kernel sends again
	// what it was told meanwhile at intervals that have doubled, up to as long as the cut has lasted.
	relearnWithin = 30 * time.Second
	// goneWithin is how long a pod takes to end that was told to: its grace period of 10 s, and some.
	goneWithin = 15 * time.Second
	// dialedWithin is how long a connection may still be led to a pod that was told to end, which serves on for that long.
	dialedWithin = stopDelay
)

// strike is a fault at work, or one that was.
type strike struct {
	fault fault.Fault
	begun time.Time

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

// blind is how much of a time nobody could notice what became of a process on a node: the control plane was struck, or the node
// was cut off or without its kubelet.
func blind(strikes []*strike, node string, from, to time.Time) (d time.Duration) {
	for _, s := range strikes {
		if !s.blinds(node) {
			continue
		}
		s.mu.Lock()
		begun, healed := s.begun, s.healed
		s.mu.Unlock()
		if healed.IsZero() || healed.After(to) {
			healed = to
		}
		if begun.Before(from) {
			begun = from
		}
		d += max(0, healed.Sub(begun))
	}
	return d
}

func (s *strike) blinds(node string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault.On == fault.ControlPlane ||
		node != "" && slices.ContainsFunc(s.victims, func(v fault.Victim) bool { return v.Kubelet == node || v.Node == node })
}

// excuses says whether the fault cost a connection, by what it struck and when, and what else was struck.
func (s *strike) excuses(c connection, known facts, all []*strike) excuse {
	s.mu.Lock()
	victims, healed := slices.Clone(s.victims), s.healed
	s.mu.Unlock()
	for _, v := range victims {
		if e := s.victim(v, healed, c, known, all); e != unexcused {
			return e
		}
	}
	return unexcused
}

// victim is excuses for one of them.
func (s *strike) victim(v fault.Victim, healed time.Time, c connection, known facts, all []*strike) excuse {
	if c.ended.Before(v.At) {
		return unexcused
	}
	begunBefore := func(t time.Time) bool { return c.begun.Before(t) }
	unhealed := healed.IsZero() || begunBefore(healed)
	switch {
	case s.fault.MayLose == fault.Nothing:
	case v.IP != "" && c.via == v.IP:
		kind := c.kind()
		// What was open in a process has ended with it, whenever the client looks.
		if (kind == kit.Reset || kind == call.End) && (begunBefore(v.At) || c.ended.Before(v.At.Add(endWithin))) {
			return inside
		}
		if kind == kit.Refused && begunBefore(v.At.Add(noticeWithin+blind(all, known.placeOf(c.via).node, v.At, c.begun))) {
			return unnoticed
		}
	case v.Node != "":
		on := c.from.Name == v.Node || known.placeOf(c.via).node == v.Node || known.nodeOf(c.who.Pod) == v.Node
		if on && unhealed {
			return inside
		}
		// Nobody has an address that there is no route to: the pod is gone. Who refuses there is about to go.
		ending := known.placeOf(c.via).ending
		gone := errors.Is(c.err, syscall.EHOSTUNREACH) ||
			c.kind() == kit.Refused && !ending.IsZero() && ending.Before(c.begun)
		if c.from.Name == v.Node && gone && begunBefore(healed.Add(relearnWithin)) {
			return unnoticed
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
