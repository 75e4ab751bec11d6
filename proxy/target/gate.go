package target

import (
	"context"
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
	opened  chan struct{} // closed when the gate opens or a doze ends who is parked; nil while nobody waits
	active  int
	waiting int
	// lastUse is when the last use of those who have left ended. idleSince is that time when active became 0, by the clock that
	// Leases are written by; waitingSince is when waiting became 1.
	lastUse                 time.Time
	idleSince, waitingSince time.Time
	// parked are those who have left and may come back.
	parked map[*parked]struct{}
	// source is the client that waits the longest, for what is said of a wake.
	source Source
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

// leave counts one out whose use ended at a time.
func (g *gate) leave(used time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.exit(used)
}

// exit is leave; mu is held.
func (g *gate) exit(used time.Time) {
	if used.After(g.lastUse) {
		g.lastUse = used
	}
	g.active--
	if g.active == 0 {
		g.idleSince = now().Add(-max(0, time.Since(g.lastUse).Truncate(time.Millisecond)))
		g.changed()
	}
}

// wait counts one in as soon as the gate is open. While anybody waits the gate does not end.
func (g *gate) wait(ctx context.Context, source Source) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return front.ErrRetired
	}
	if !g.open {
		g.join(source)
		defer g.stop()
	}
	for !g.open {
		if err := g.block(ctx); err != nil {
			return err
		}
	}
	g.enter()
	return nil
}

// join counts one who waits, stop ends that; mu is held.
func (g *gate) join(source Source) {
	g.waiting++
	if g.waiting == 1 {
		g.waitingSince, g.source = time.Now(), source
		g.changed()
	}
}

func (g *gate) stop() {
	g.waiting--
	if g.waiting == 0 {
		g.changed()
	}
}

// block waits for a change, without mu, which is held before and after.
func (g *gate) block(ctx context.Context) error {
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
	opened := g.opened
	g.mu.Unlock()
	defer g.mu.Lock()
	select {
	case <-opened:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// set opens or closes the gate; mu is held. Those inside stay inside.
func (g *gate) set(open bool) {
	open = open && !g.ended
	g.open = open
	if open {
		g.alert()
	}
}

// alert has those who wait look again; mu is held.
func (g *gate) alert() {
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}
