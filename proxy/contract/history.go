package contract

import (
	"encoding/json"
	"fmt"
	"time"
)

// History is what has become of a target, under HistoryKey on its Lease. It is for people: nothing decides by it. It begins
// when TPA takes the target over, and goes with the Lease.
type History struct {
	// Sleeps and Wakes count how often TPA put the target to sleep and woke it for a connection.
	Sleeps int64 `json:"sleeps,omitempty"`
	Wakes  int64 `json:"wakes,omitempty"`
	// Asleep is how long the target was asleep, before its present sleep, in seconds.
	Asleep float64 `json:"asleepSeconds,omitempty"`
	// Saved is what did not run in the part of that time in which it was TPA that kept the replicas at 0.
	Saved Saved `json:"saved,omitzero"`
	// Observed is what would have become of it besides, while TPA only observed.
	Observed Observed `json:"observed,omitzero"`
	// Pod is what a pod of the target requested when TPA last saw one. It counts for the sleep that follows.
	Pod Requests `json:"pod,omitzero"`
	// LastWake is nil before the first.
	LastWake *Wake `json:"lastWake,omitempty"`
}

// Saved is what did not run, each summed up over time.
type Saved struct {
	// Replicas is in replica-seconds.
	Replicas float64 `json:"replicaSeconds,omitempty"`
	// CPU is in core-seconds and Memory in byte-seconds, by what the pods requested.
	CPU    float64 `json:"cpuSeconds,omitempty"`
	Memory float64 `json:"memoryByteSeconds,omitempty"`
}

// Observed is what would have become of a target in ModeObserve.
type Observed struct {
	// Sleeps is how often TPA would have put the target to sleep and woken it, Asleep for how long, in seconds.
	Sleeps int64   `json:"sleeps,omitempty"`
	Asleep float64 `json:"asleepSeconds,omitempty"`
	// Saved is what would not have run.
	Saved Saved `json:"saved,omitzero"`
}

// plus adds so many replicas that did not run for so many seconds, each of which requests so much.
func (s Saved) plus(seconds float64, replicas int32, pod Requests) Saved {
	n := seconds * float64(replicas)
	return s.Plus(Saved{Replicas: n, CPU: n * pod.CPU, Memory: n * pod.Memory})
}

// Plus returns the sum of both.
func (s Saved) Plus(other Saved) Saved {
	s.Replicas += other.Replicas
	s.CPU += other.CPU
	s.Memory += other.Memory
	return s
}

// Requests is what one pod requests.
type Requests struct {
	// CPU is in cores, Memory in bytes; 0 if it requests none, or that is not known.
	CPU    float64 `json:"cpu,omitempty"`
	Memory float64 `json:"memory,omitempty"`
}

// Slept returns the History after another sleep, or a part of one, in which so many replicas did not run that would have; 0
// if it was not TPA that kept them from it.
func (h History) Slept(d time.Duration, replicas int32) History {
	seconds := max(0, d.Seconds()) // clocks differ
	h.Asleep += seconds
	h.Saved = h.Saved.plus(seconds, replicas, h.Pod)
	return h
}

// WouldHaveSlept returns the History after a sleep that TPA would have put the target to, in which so many replicas would not
// have run.
func (h History) WouldHaveSlept(d time.Duration, replicas int32, pod Requests) History {
	seconds := max(0, d.Seconds())
	h.Observed.Sleeps++
	h.Observed.Asleep += seconds
	h.Observed.Saved = h.Observed.Saved.plus(seconds, replicas, pod)
	return h
}

// Wake is one wake for a connection.
type Wake struct {
	// At is when the connection that woke the target was accepted.
	At time.Time `json:"at"`
	// Service and From are which Service's connection that was, and its client's address.
	Service string `json:"service"`
	From    string `json:"from,omitempty"`
	// Outcome is empty until it is known.
	Outcome WakeOutcome `json:"outcome,omitempty"`
	// Took is from At to the first ready backend, or to when the last one who waited was given up, in seconds.
	Took float64 `json:"tookSeconds,omitempty"`
}

// WakeOutcome is how a wake ended.
type WakeOutcome string

const (
	WakeReady    WakeOutcome = "Ready"    // a backend became ready
	WakeTimedOut WakeOutcome = "TimedOut" // nobody waits any more, and no backend was ready
)

// ParseHistory reads a History as String writes it.
func ParseHistory(s string) (History, error) {
	var h History
	if err := json.Unmarshal([]byte(s), &h); err != nil {
		return History{}, fmt.Errorf("%s: %w", HistoryKey, err)
	}
	return h, nil
}

// String is the History as JSON; equal ones give equal strings.
func (h History) String() string {
	b, _ := json.Marshal(h) // times, strings and numbers always encode
	return string(b)
}
