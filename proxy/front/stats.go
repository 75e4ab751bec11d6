package front

import (
	"sync/atomic"
	"time"

	"tpa.dev/tpa/proxy/relay"
)

// Outcome is what became of a connection.
type Outcome int

// The outcomes. Every accepted connection has exactly one, counted when it ends.
const (
	Relayed        Outcome = iota // connected to a backend and relayed to the end, a reset by either peer included
	RefusedBudget                 // there was no place left to hold it
	RefusedFull                   // the proxy has as many connections as it may
	RefusedAsleep                 // it may not wake the target, which was asleep
	RefusedMissing                // the target does not exist
	ClientGone                    // the client left while it was held
	NoData                        // the client sent nothing, and its first byte would have woken the target
	WakeTimeout                   // no backend appeared in time
	WakeError                     // the target could not be claimed or woken
	DialError                     // backends existed, but none could be reached
	Aborted                       // ended by Close, or by Drain giving up
	Dozed                         // relayed, silent, and ended in good order when the target went to sleep
	outcomes
)

var outcomeNames = [outcomes]string{
	"relayed", "refused_budget", "refused_full", "refused_asleep", "refused_missing", "client_gone", "no_data",
	"wake_timeout", "wake_error", "dial_error", "aborted", "dozed",
}

// String returns the name used for metrics, such as "refused_budget".
func (o Outcome) String() string { return outcomeNames[o] }

// Outcomes returns all of them.
func Outcomes() []Outcome {
	all := make([]Outcome, outcomes)
	for i := range all {
		all[i] = Outcome(i)
	}
	return all
}

// Stats are a Service's counters. They may be read at any time and only grow, except Active, Parked and Held.
type Stats struct {
	accepted atomic.Int64
	ended    [outcomes]atomic.Int64
	active   atomic.Int64
	parked   atomic.Int64
	held     atomic.Int64
	wasHeld  atomic.Int64
	dialErrs atomic.Int64

	counted relay.Activity // connections that count as use
	ignored relay.Activity // passive ports and ignored sources
}

// Accepted returns how many connections were accepted.
func (s *Stats) Accepted() int64 { return s.accepted.Load() }

// Ended returns how many connections have ended with outcome.
func (s *Stats) Ended(outcome Outcome) int64 { return s.ended[outcome].Load() }

// Active returns how many connections are being relayed now.
func (s *Stats) Active() int64 { return s.active.Load() }

// Parked returns how many of these are parked: silent, and not counted as use.
func (s *Stats) Parked() int64 { return s.parked.Load() }

// Held returns how many connections are waiting for the target or a backend now.
func (s *Stats) Held() int64 { return s.held.Load() }

// WasHeld returns how many connections had to wait since the start.
func (s *Stats) WasHeld() int64 { return s.wasHeld.Load() }

// DialErrors returns how many attempts to connect to a backend have failed, also where another attempt succeeded.
func (s *Stats) DialErrors() int64 { return s.dialErrs.Load() }

// BytesToBackend returns the bytes relayed from clients so far, open connections included. PROXY headers are not.
func (s *Stats) BytesToBackend() int64 { return s.counted.ToBackend() + s.ignored.ToBackend() }

// BytesToClient returns the bytes relayed to clients so far, open connections included.
func (s *Stats) BytesToClient() int64 { return s.counted.ToClient() + s.ignored.ToClient() }

// LastBytes returns when bytes last moved on a connection that counts as use; the zero time if they never have.
func (s *Stats) LastBytes() time.Time { return s.counted.Last() }
