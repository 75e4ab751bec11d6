package services

import "testing"

func TestConnectionsFollowFromDescriptors(t *testing.T) {
	for _, tt := range []struct{ flag, descriptors, ports, want int }{
		{1_000_000, 20_000, 0, 9872},
		{1_000_000, 20_000, 1000, 9372},
		{1_000_000, 1 << 30, 1000, 1_000_000},
		{5000, 20_000, 1000, 5000},
		{1_000_000, 256, 10, 1}, // too few even for the process itself: one is better than none
	} {
		o := Options{MaxConnections: tt.flag, Descriptors: tt.descriptors}
		if got := o.connections(tt.ports); got != tt.want {
			t.Errorf("%d descriptors, %d ports, flag %d: %d connections, want %d", tt.descriptors, tt.ports, tt.flag, got, tt.want)
		}
	}
}

func TestHeldConnectionsLeaveSomeForOthers(t *testing.T) {
	for _, tt := range []struct{ flag, descriptors, want int }{{10_000, 20_000, 7404}, {100, 20_000, 100}, {10_000, 256, 1}} {
		m := &Manager{options: Options{MaxHeld: tt.flag, MaxConnections: 1_000_000, Descriptors: tt.descriptors}}
		m.bound(0)
		if got := m.budget.Max(); got != int64(tt.want) {
			t.Errorf("%d descriptors, flag %d: %d may be held, want %d", tt.descriptors, tt.flag, got, tt.want)
		}
	}
}
