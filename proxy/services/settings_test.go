package services

import (
	"testing"
	"time"

	"tpa.dev/tpa/proxy/contract"
)

// Silent connections are parked only where they are not to count, and then as soon as a claim may be given up.
func TestParkAfterGoesByIdleWhen(t *testing.T) {
	m := server(t)
	for noTraffic, want := range map[bool]time.Duration{false: 0, true: 30 * time.Minute} {
		sp := ServicePlan{Settings: contract.Settings{IdleTimeout: time.Hour, IdleWhenNoTraffic: noTraffic}}
		if got := m.settings("x", sp).ParkAfter; got != want {
			t.Errorf("IdleWhenNoTraffic %t: parked after %v, want %v", noTraffic, got, want)
		}
	}
}
