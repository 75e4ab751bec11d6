package sleep

import (
	"os"
	"testing"
	"time"
)

// TestEveryWorld visits every state within bounds. `make model` has wider ones. Each world begins with an unused target; a
// connection takes one of connects, and each of these takes one of faults: a call given up (lost, or carried out later, with
// its answer lost), a refusal, a pause, a restart, a pod gone, a change of the scale's version by others, and time that
// passes while answers, watches or pods are late. At the same instant all orders are free. The worlds go on until TPA has
// written 0 more often than sleeps says.
//
// That these bounds suffice to see a hole was tried by making one at a time; it is found after so many states:
//
//	a 0 that was sent does not keep its sender from claiming (rule 4)    3,283   one proxy
//	a takeover declares the target awake (rule 4)                        2,012   two proxies and a fault
//	a 0 carries a version read after its Sleeping was written (stamped)  80,177  two proxies, one of them frozen
//	a claim counts in spite of doubt                                     905     one proxy
//	a scale that was asked for in another phase counts (crossed)         1,910   from nothing
//	a 0 that was sent is forgotten by reading the Lease anew             12,863  one proxy
//	pods that linger say that nothing is owed                            14,570  one proxy
//
// A scale that is kept from one Sleeping to the next takes more than three faults to do harm, and is not found.
func TestEveryWorld(t *testing.T) {
	one, two, three := make([]time.Duration, 1), make([]time.Duration, 2), make([]time.Duration, 3)
	apart2, apart3 := []time.Duration{-30 * time.Second, 30 * time.Second}, []time.Duration{-30 * time.Second, 0, 30 * time.Second}
	wide := os.Getenv("TPA_MODEL") != ""
	for _, tc := range []struct {
		name string
		wide bool
		x    exploration
	}{
		{"one proxy", false, exploration{skews: [][]time.Duration{one}, left: budget{connects: 1, faults: 2, sleeps: 1}}},
		{"from nothing", false, exploration{skews: [][]time.Duration{two}, from: nothing, left: budget{connects: 1, sleeps: 1}}},
		{"two proxies, two rounds", false, exploration{skews: [][]time.Duration{two, apart2}, left: budget{connects: 2, sleeps: 2}}},
		{"two proxies and a fault", false, exploration{skews: [][]time.Duration{two}, left: budget{faults: 1, sleeps: 1}}},
		{"two proxies and a person", false, exploration{skews: [][]time.Duration{two}, left: budget{connects: 1, hands: 1, sleeps: 1}}},
		{"two proxies, one of them frozen", false, exploration{skews: [][]time.Duration{two}, from: zeroSent, left: budget{connects: 1, faults: 2, sleeps: 1, kinds: []eventKind{givesUp, pauses}}}},
		{"three proxies", false, exploration{skews: [][]time.Duration{three}, left: budget{sleeps: 1}}},

		{"two proxies in use and a fault", true, exploration{skews: [][]time.Duration{two, apart2}, left: budget{connects: 1, faults: 1, sleeps: 1}}},
		{"two proxies and two faults", true, exploration{skews: [][]time.Duration{two}, left: budget{faults: 2, sleeps: 1}}},
		{"two proxies in use, from a sleep, two faults", true, exploration{skews: [][]time.Duration{two}, from: zeroSent, left: budget{connects: 1, faults: 2, sleeps: 1}}},
		{"two proxies, a person and a fault", true, exploration{skews: [][]time.Duration{two}, left: budget{connects: 1, faults: 1, hands: 1, sleeps: 1}}},
		{"three proxies and a connection", true, exploration{skews: [][]time.Duration{three, apart3}, left: budget{connects: 1, sleeps: 2}}},
		{"three proxies and a fault", true, exploration{skews: [][]time.Duration{three}, left: budget{faults: 1, sleeps: 1}}},
		{"one proxy and three faults", true, exploration{skews: [][]time.Duration{one}, left: budget{connects: 2, faults: 3, sleeps: 2}}},
	} {
		if tc.wide == wide {
			t.Run(tc.name, tc.x.check)
		}
	}
}
