package target

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"tpa.dev/tpa/proxy/front"
)

// gate is what connections pass before they are dialed. It is open while this proxy holds the claim, and counts who is
// inside. Passing an open gate costs a lock and no I/O.
type gate struct {
	mu   sync.Mutex
	open bool
	// ended says that nobody will open it again.
	ended   bool
	opened  chan struct{} // closed when the gate opens; nil while nobody waits
	active  int
	waiting int
	// idleSince is when active became 0, by the clock that Leases are written by; waitingSince when waiting became 1.
	idleSince, waitingSince time.Time
	// source is the client that waits the longest, for the log line of a wake.
	source netip.AddrPort
	// changed is called, with mu held, when active or waiting becomes 0 or 1.
	changed func()
}

func (g *gate) tryEnter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		return false
	}
	g.enter()
	return true
}

// enter counts one in; mu is held.
func (g *gate) enter() {
	g.active++
	if g.active == 1 {
		g.changed()
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active--
	if g.active == 0 {
		g.idleSince = now()
		g.changed()
	}
}

// wait counts one in as soon as the gate is open. While anybody waits the gate does not end.
func (g *gate) wait(ctx context.Context, source netip.AddrPort) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return front.ErrRetired
	}
	if !g.open {
		g.waiting++
		if g.waiting == 1 {
			g.waitingSince, g.source = time.Now(), source
			g.changed()
		}
		defer func() {
			g.waiting--
			if g.waiting == 0 {
				g.changed()
			}
		}()
	}
	for !g.open {
		if g.opened == nil {
			g.opened = make(chan struct{})
		}
		opened := g.opened
		g.mu.Unlock()
		select {
		case <-opened:
			g.mu.Lock()
		case <-ctx.Done():
			g.mu.Lock()
			return context.Cause(ctx)
		}
	}
	g.enter()
	return nil
}

// set opens or closes the gate; mu is held. Those inside stay inside.
func (g *gate) set(open bool) {
	open = open && !g.ended
	g.open = open
	if open && g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}
