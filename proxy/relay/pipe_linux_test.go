//go:build !portable

package relay

import (
	"io"
	"strings"
	"testing"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

func TestPipesAreBoundedAndReused(t *testing.T) {
	var taken []*pipe
	for range maxPipes {
		p := takePipe()
		if p == nil {
			t.Fatal("this user may not have that many large pipes")
		}
		taken = append(taken, p)
	}
	if p := takePipe(); p != nil {
		t.Error("more than maxPipes pipes")
	}
	givePipe(taken[0], true)
	if p := takePipe(); p != taken[0] {
		t.Error("an empty pipe is not used again")
	}
	fds := tcptest.Descriptors(t)
	for _, p := range taken {
		givePipe(p, false)
	}
	if now := tcptest.Descriptors(t); now != fds-2*maxPipes {
		t.Errorf("%d descriptors after closing %d pipes, %d before", now, maxPipes, fds)
	}
}

// An idle connection must hold neither a pipe nor a buffer, also after a sustained flow.
func TestIdleHoldsNoPipe(t *testing.T) {
	p := start(t)
	chunk := strings.Repeat("x", 4<<20)
	go func() { _, _ = io.WriteString(p.client, chunk) }()
	tcptest.WantRead(t, p.backend, chunk)
	tcptest.Eventually(t, "all pipes given back", func() bool { return pipesTaken() == 0 })
	p.session.Abort()
	p.wait(t)
}
