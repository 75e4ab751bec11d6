package kit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Kind is how a request ended.
type Kind string

const (
	OK      Kind = "ok"
	Wrong   Kind = "wrong"   // a whole answer, not the right one
	Refused Kind = "refused" // no connection
	Reset   Kind = "reset"   // the connection ended before the answer
	Timeout Kind = "timeout"
	Other   Kind = "other"
)

// KindOf tells how a request ended from its error.
func KindOf(err error) Kind {
	var wrong *wrongError
	switch {
	case err == nil:
		return OK
	case errors.As(err, &wrong):
		return Wrong
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF):
		return Reset
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, syscall.ETIMEDOUT):
		return Timeout
	}
	return Other
}

// Tally is what became of every request.
type Tally struct {
	Count map[Kind]int
	// Connections is how many were established.
	Connections int
	// Retried counts the requests whose first try failed, by how; Count tells how the second ended.
	Retried map[Kind]int
	// Pods and Peers count the good answers by the pod that gave them and by the address that it was called from.
	Pods, Peers map[string]int
	// Slowest is the longest that a good answer took, from the connect on.
	Slowest time.Duration
	// Failures are the first few failures, with the time of each.
	Failures []string
}

// Failed is the number of requests that were not answered well.
func (t Tally) Failed() int {
	n := 0
	for kind, count := range t.Count {
		if kind != OK {
			n += count
		}
	}
	return n
}

// Plus is what became of the requests of both.
func (t Tally) Plus(other Tally) Tally {
	t = t.clone()
	add(t.Count, other.Count)
	add(t.Retried, other.Retried)
	add(t.Pods, other.Pods)
	add(t.Peers, other.Peers)
	t.Connections += other.Connections
	t.Slowest = max(t.Slowest, other.Slowest)
	t.Failures = append(t.Failures, other.Failures...)
	return t
}

func add[K comparable](to, from map[K]int) {
	for key, n := range from {
		to[key] += n
	}
}

// clone returns a copy that can be written to, also of the zero value.
func (t Tally) clone() Tally {
	count, retried, pods, peers := t.Count, t.Retried, t.Pods, t.Peers
	t.Count, t.Retried, t.Pods, t.Peers = map[Kind]int{}, map[Kind]int{}, map[string]int{}, map[string]int{}
	add(t.Count, count)
	add(t.Retried, retried)
	add(t.Pods, pods)
	add(t.Peers, peers)
	t.Failures = slices.Clone(t.Failures)
	return t
}

func (t Tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d ok, %d failed", t.Count[OK], t.Failed())
	counts := func(of string, m map[Kind]int) {
		for _, kind := range slices.Sorted(maps.Keys(m)) {
			if kind != OK {
				fmt.Fprintf(&b, ", %d %s%s", m[kind], of, kind)
			}
		}
	}
	counts("", t.Count)
	counts("retried after ", t.Retried)
	fmt.Fprintf(&b, ", slowest %s, by pod %v, by peer %v", t.Slowest.Round(time.Millisecond), t.Pods, t.Peers)
	for _, failure := range t.Failures {
		b.WriteString("\n  " + failure)
	}
	return b.String()
}
