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
