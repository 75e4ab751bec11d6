package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/test/soak/call"
)

// connection is what became of one.
type connection struct {
	begun, ended time.Time
	service      service
	from         kit.Node
	to           string // the Service's address
	port         int    // it came from; 0 if it never had one
	// via is the address that it was led to: a proxy's, or a pod's if there is none in between; "" if unknown.
	via string
	// tracked is what the client's node told of it when it began, if it was not answered well.
	tracked string
	// first is how long the first answer took, from the connect on; 0 without one.
	first time.Duration
	who   call.Who
	err   error
}

func (c connection) kind() kit.Kind { return call.KindOf(c.err) }

func (c connection) String() string {
	return fmt.Sprintf("%s %s after %s: service %s (%s, targets %v), from %s port %d to %s through %q, answered by %+v: %v",
		c.ended.Format("15:04:05.000"), c.kind(), c.ended.Sub(c.begun).Round(time.Millisecond), c.service.name,
		c.service.protocol, c.service.targets, c.from.Name, c.port, c.to, c.via, c.who, c.err)
}

// result is what became of all connections: exactly one of Count each.
type result struct {
	Rounds      int              `json:"rounds"`
	LeastRounds int              `json:"leastRounds"` // of any target
	Connections int              `json:"connections"`
	Lost        int              `json:"lost"`
	Excused     int              `json:"excused"` // of Lost: to a fault, see Excuse
	Wrong       int              `json:"wrong"`
	Count       map[kit.Kind]int `json:"count"`
	// Protocols counts the connections of each.
	Protocols map[string]int `json:"protocols"`
	// Slowest is the longest that a first answer took.
	Slowest time.Duration `json:"slowestNanoseconds"`
	// Took is how long clients called, in seconds.
	Took float64 `json:"took"`
	// Faults are those that struck meanwhile.
	Faults []row `json:"faults,omitempty"`
}

// last is the line by which a run is known.
func (r result) last() string {
	return fmt.Sprintf("soak: rounds=%d connections=%d lost=%d wrong=%d", r.Rounds, r.Connections, r.Lost, r.Wrong)
}

// detail is what the last line does not tell.
func (r result) detail() string {
	s := fmt.Sprintf("slowest answer %s, fewest rounds of a target %d", r.Slowest.Round(time.Millisecond), r.LeastRounds)
	for _, kind := range slices.Sorted(maps.Keys(r.Count)) {
		s += fmt.Sprintf(", %d %s", r.Count[kind], kind)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Protocols)) {
		s += fmt.Sprintf(", %s %d", name, r.Protocols[name])
	}
	return s
}

// judge says what is wrong with a result: nothing, with an error of nil.
func (r result) judge(rounds int) error {
	switch {
	case r.Lost > r.Excused || r.Wrong > 0:
		return fmt.Errorf("%d connections were lost without an excuse and %d answered wrong", r.Lost-r.Excused, r.Wrong)
	case r.Rounds < rounds:
		return fmt.Errorf("%d rounds in %.0f s, which should have been %d", r.Rounds, r.Took, rounds)
	}
	return nil
}

// write writes the result as JSON to a file, if that has a name.
func (r result) write(file string) error {
	if file == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// record takes in how connections ended.
type record struct {
	mu sync.Mutex
	result
	// also, if set, is told each connection.
	also func(connection, excuse)
	// excuse, if set, says whether a lost connection is one that a fault may cost.
	excuse func(connection) excuse
}

func newRecord() *record {
	return &record{result: result{Count: map[kit.Kind]int{}, Protocols: map[string]int{}}}
}

func (r *record) add(c connection) {
	kind, e := c.kind(), unexcused
	if r.excuse != nil && kind != kit.OK && kind != kit.Wrong {
		e = r.excuse(c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Connections++
	r.Count[kind]++
	r.Protocols[c.service.protocol]++
	switch kind {
	case kit.OK:
		r.Slowest = max(r.Slowest, c.first)
	case kit.Wrong:
		r.Wrong++
	default:
		r.Lost++
		if e != unexcused {
			r.Excused++
		}
	}
	if r.also != nil {
		r.also(c, e)
	}
}

// now is the result so far, with the rounds that were watched.
func (r *record) now(w *watch) result {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.result
	now.Count, now.Protocols = maps.Clone(now.Count), maps.Clone(now.Protocols)
	now.Rounds, now.LeastRounds = w.rounds()
	return now
}
