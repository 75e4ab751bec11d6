//go:build !portable

package relay

import (
	"errors"
	"syscall"
	"testing"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// sustained reports whether both directions are sustained flows with nothing to move at present.
func (p *pair) sustained() bool {
	s := p.session
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up.hot && s.down.hot && !s.up.putOff && !s.down.putOff
}

// pipesTaken returns how many pipes hold somebody's bytes.
func pipesTaken() int { return len(tokens) - len(idle) }

// descriptors returns how many there are besides those of the pipes.
func descriptors(t *testing.T) int {
	t.Helper()
	return tcptest.Descriptors(t) - 2*len(tokens)
}

// seesReset reports whether a peer that reads and writes at once learned of a reset from either.
func seesReset(read, write error) bool {
	return errors.Is(read, syscall.ECONNRESET) || errors.Is(write, syscall.ECONNRESET)
}
