package services

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/target"
)

// gateFor returns what the connections of a Service acquire for some targets; mu is held.
func (m *Manager) gateFor(uid types.UID, name string, targets []contract.Target) front.Target {
	if len(targets) == 0 {
		return front.Open{}
	}
	keepers := make([]*target.Keeper, len(targets))
	for i, t := range targets {
		keepers[i] = m.targets[t]
	}
	if gates := m.gates[uid]; len(gates) > 0 {
		if last := gates[len(gates)-1]; !last.closed && slices.Equal(last.keepers, keepers) {
			return last
		}
	}
	return newGate(name, keepers)
}

// closeGates closes the earlier gates of a Service whose front has another by now, and has that count who is still inside
// them. It reports whether there are such; mu is held.
func (m *Manager) closeGates(uid types.UID, has front.Target) bool {
	now, _ := has.(*gate) // or nobody counts: somebody else keeps the target awake
	var gates []*gate
	left := false
	for _, earlier := range m.gates[uid] {
		if earlier != now && !earlier.closed {
			earlier.close()
		}
		select {
		case <-earlier.empty:
		default:
			gates = append(gates, earlier)
			left = left || earlier != now
		}
	}
	if now != nil && !slices.Contains(gates, now) {
		for _, earlier := range gates {
			m.keepers.Go(func() { now.countUntilLeft(m.keeping, earlier) })
		}
		gates = append(gates, now)
	}
	m.gates[uid] = gates
	return left
}
