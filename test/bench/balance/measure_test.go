package balance

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"
)

// free are addresses that nobody listens on.
func free(t *testing.T, n int) []netip.AddrPort {
	t.Helper()
	var addresses []netip.AddrPort
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // only now, or the next one may get its port
		addresses = append(addresses, l.Addr().(*net.TCPAddr).AddrPort())
	}
	return addresses
}

func listen(t *testing.T, addresses []netip.AddrPort, delay time.Duration) *Backends {
	t.Helper()
	delays := make([]time.Duration, len(addresses))
	for i := range delays {
		delays[i] = delay
	}
	backends, err := Listen(addresses, delays)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backends.Close)
	return backends
}

// TestMeasure: what reaches one backend only is all of the load.
func TestMeasure(t *testing.T) {
	addresses := free(t, 4)
	backends := listen(t, addresses, 5*time.Millisecond)
	imbalance, err := Measure(t.Context(), addresses[1].String(), backends, 200*time.Millisecond)
	if err != nil || imbalance != 4 {
		t.Errorf("%v, %v; want 4", imbalance, err)
	}
}

// TestMeasureFails: a request without an answer is an error, not less load.
func TestMeasureFails(t *testing.T) {
	addresses := free(t, 2)
	backends := listen(t, addresses[:1], time.Millisecond)
	if imbalance, err := Measure(t.Context(), addresses[1].String(), backends, time.Minute); err == nil {
		t.Errorf("nobody listens: %v", imbalance)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Measure(ctx, addresses[0].String(), backends, time.Minute); err == nil {
		t.Error("broken off: no error")
	}
}
