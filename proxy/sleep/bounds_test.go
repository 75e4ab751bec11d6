package sleep

import (
	"os"
	"testing"
	"time"
)

// TestEveryWorld visits every state within bounds. `make model` has wider ones. Each world begins with an unused target. A
// connection takes one of connects. Each of these takes one of faults: a call given up (lost, or carried out later, with its
// answer lost), a refusal, a write carried out twice, a pause, a restart, a pod gone, a change of the scale's version by
// others, and time that passes while answers, watches or pods are late; where they are named, also rights that are taken
// until they are given back, and an outage of the API server. At the same instant all orders are free, and a request that
// nobody waits for may be lost at any time. The worlds go on until TPA has written 0 more often than sleeps says.
//
// An outage takes no time here; the random worlds have long ones.
//
// That these bounds suffice to see a hole was tried by making one at a time; it is found after so many states:
//
//	a 0 that was sent does not keep its sender from claiming (rule 4)     2,843   one proxy
//	a takeover declares the target awake (rule 4)                         2,370   two proxies and a fault
//	any refusal of a 0 ends the Sleeping (rule 4)                         277     one proxy, denied after it gave up
//	a takeover forgets that an earlier 0 is on its way (TakenOver)        1,560   one proxy, denied what an earlier process asked for
//	any version of the scale outdates an earlier 0 (ScaleVersion)         159     one proxy, denied after it gave up
//	a Sleeping that cannot be finished has no last resort                 3       one proxy, denied after it gave up
//	one that cannot be finished is not written again, and so taken over   3       two proxies, one of them frozen
//	a claim counts in spite of doubt                                      1,116   one proxy
//	a scale that was asked for in another phase counts (crossed)          2,048   from nothing
//	a 0 that was sent is forgotten by reading the Lease anew              13,190  one proxy
//	pods that linger say that nothing is owed                             11,093  one proxy
//	a Sleeping goes on after an outage                                    1,465   two proxies and an outage
//	who has scaled up thrice is fought on (rule 5)                        3,333   one proxy, contested
//
// A scale that is kept from one Sleeping to the next takes more than three faults to do harm, and is not found. Nor is a sleep
// that begins within Grace: what then keeps it from harm is that it does not go on.
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
		{"one proxy, denied what an earlier process asked for", false, exploration{skews: [][]time.Duration{one}, from: zeroSent, left: budget{connects: 1, faults: 2, sleeps: 1, kinds: []eventKind{restarts, denies}}}},
		{"one proxy, denied after it gave up", false, exploration{skews: [][]time.Duration{one}, from: zeroSent, left: budget{faults: 2, sleeps: 1, kinds: []eventKind{givesUp, denies}}}},
		{"one proxy, contested", false, exploration{skews: [][]time.Duration{one}, left: budget{hands: MaxReverted + 1, sleeps: MaxReverted + 1}}},
		{"from nothing", false, exploration{skews: [][]time.Duration{two}, from: nothing, left: budget{connects: 1, sleeps: 1}}},
		{"two proxies, two rounds", false, exploration{skews: [][]time.Duration{two, apart2}, left: budget{connects: 2, sleeps: 2}}},
		{"two proxies and a fault", false, exploration{skews: [][]time.Duration{two}, left: budget{faults: 1, sleeps: 1}}},
		{"two proxies and a person", false, exploration{skews: [][]time.Duration{two}, left: budget{connects: 1, hands: 1, sleeps: 1}}},
		{"two proxies, one of them frozen", false, exploration{skews: [][]time.Duration{two}, from: zeroSent, left: budget{faults: 2, sleeps: 1, kinds: []eventKind{givesUp, pauses}}}},
		{"two proxies and an outage", false, exploration{skews: [][]time.Duration{two}, left: budget{connects: 1, faults: 1, sleeps: 1, kinds: []eventKind{fails}}}},
		{"two proxies, one leaves", false, exploration{skews: [][]time.Duration{two}, left: budget{connects: 1, sleeps: 1, edits: []eventKind{leaves}}}},
		{"a proxy and the controller", false, exploration{skews: [][]time.Duration{one}, controlled: true, left: budget{connects: 1, sleeps: 1, edits: []eventKind{holds}}}},
		{"two proxies, a sleep is asked for", false, exploration{skews: [][]time.Duration{two, apart2}, left: budget{connects: 1, sleeps: 1, edits: []eventKind{asks}}}},
		{"two proxies, one keeps it awake", false, exploration{skews: [][]time.Duration{two}, left: budget{connects: 1, sleeps: 1, edits: []eventKind{keeps}}}},
		{"one proxy, a person, and it is kept awake", false, exploration{skews: [][]time.Duration{one}, left: budget{connects: 1, hands: 1, sleeps: 1, edits: []eventKind{keeps}}}},
		{"three proxies", false, exploration{skews: [][]time.Duration{three}, left: budget{sleeps: 1}}},

		{"one proxy and three faults", true, exploration{skews: [][]time.Duration{one}, left: budget{connects: 1, faults: 3, sleeps: 1}}},
		{"one proxy, a write given up, then denied", true, exploration{skews: [][]time.Duration{one}, from: zeroSent, left: budget{connects: 2, faults: 2, sleeps: 2, kinds: []eventKind{givesUp, denies}}}},
		{"two proxies, one gone, the other denied", true, exploration{skews: [][]time.Duration{two}, from: zeroSent, left: budget{connects: 1, faults: 2, sleeps: 1, kinds: []eventKind{dies, denies}}}},
		{"two proxies in use and a fault", true, exploration{skews: [][]time.Duration{two, apart2}, left: budget{connects: 1, faults: 1, sleeps: 1}}},
		{"two proxies and two faults", true, exploration{skews: [][]time.Duration{two}, left: budget{faults: 2, sleeps: 1}}},
		{"two proxies in use, one of them frozen", true, exploration{skews: [][]time.Duration{two}, from: zeroSent, left: budget{connects: 1, faults: 2, sleeps: 1, kinds: []eventKind{givesUp, pauses}}}},
		{"two proxies, a person and a fault", true, exploration{skews: [][]time.Duration{two}, left: budget{connects: 1, faults: 1, hands: 1, sleeps: 1}}},
		{"two proxies, two sleeps are asked for, and a fault", true, exploration{skews: [][]time.Duration{two, apart2}, left: budget{connects: 1, faults: 1, sleeps: 2, edits: []eventKind{asks, asks}}}},
		{"two proxies, one keeps it awake, and a fault", true, exploration{skews: [][]time.Duration{two}, left: budget{faults: 1, sleeps: 1, edits: []eventKind{keeps}}}},
		{"two proxies, one leaves and one must not sleep", true, exploration{skews: [][]time.Duration{two, apart2}, left: budget{connects: 1, sleeps: 1, edits: []eventKind{leaves, blocks}}}},
		{"two proxies, an outage and a call given up", true, exploration{skews: [][]time.Duration{two}, left: budget{connects: 1, faults: 2, sleeps: 1, kinds: []eventKind{fails, givesUp}}}},
		{"two proxies and the controller", true, exploration{skews: [][]time.Duration{two}, controlled: true, left: budget{connects: 1, sleeps: 1, edits: []eventKind{holds}}}},
		{"a proxy and the controller, and a fault", true, exploration{skews: [][]time.Duration{one}, controlled: true, left: budget{connects: 1, faults: 1, sleeps: 1, edits: []eventKind{holds, settles}}}},
		{"three proxies and a connection, two rounds", true, exploration{skews: [][]time.Duration{three, apart3}, left: budget{connects: 1, sleeps: 2}}},
		{"three proxies and a fault", true, exploration{skews: [][]time.Duration{three}, left: budget{faults: 1, sleeps: 1}}},
		{"three proxies in use, a call given up", true, exploration{skews: [][]time.Duration{three}, from: zeroSent, left: budget{connects: 1, faults: 1, sleeps: 1, kinds: []eventKind{givesUp}}}},
	} {
		if tc.wide == wide {
			t.Run(tc.name, tc.x.check)
		}
	}
}
