//go:build !linux || portable

package relay

import (
	"errors"
	"syscall"
	"testing"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// sustained is true where all flows are moved alike, once as much as was sent each way is counted.
func (p *pair) sustained() bool { return p.act.ToClient() > 0 && p.act.ToClient() == p.act.ToBackend() }

func pipesTaken() int { return 0 }

func descriptors(t *testing.T) int {
	t.Helper()
	return tcptest.Descriptors(t)
}

// seesReset is true of a reset that follows a FIN as well: two goroutines may see an end before they see that it was a reset.
func seesReset(read, write error) bool {
	return errors.Is(read, syscall.ECONNRESET) || errors.Is(write, syscall.ECONNRESET) || errors.Is(write, syscall.EPIPE)
}
