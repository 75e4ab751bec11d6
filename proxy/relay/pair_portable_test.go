//go:build !linux || portable

package relay

import (
	"testing"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// sustained is true where all flows are moved alike, once there was one.
func (p *pair) sustained() bool { return p.act.ToClient() > 0 }

func pipesTaken() int { return 0 }

func descriptors(t *testing.T) int {
	t.Helper()
	return tcptest.Descriptors(t)
}
