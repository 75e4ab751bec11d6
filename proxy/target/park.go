package target

import (
	"context"
	"net/netip"
	"time"

	"tpa.dev/tpa/proxy/front"
)

// A parked connection is open and does not count: it moves nothing until it has come back in through the gate, as a new one
// does. So rules 1 and 2 of package sleep hold as they are written: who is parked has, to the protocol, no connection. When
// the target leaves Awake the gate lets none of those back in that are parked by then, and has them ended: what is behind
// them is about to go.

// parked is one who has left the gate and may come back. It implements front.Parked.
type parked struct {
	gate  *gate
	end   func() // called once if the target dozes
	waits bool   // to come back
	dozed bool
}

// park counts one out whose use ended at a time, and who may come back.
func (g *gate) park(used time.Time, end func()) *parked {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.parked == nil {
		g.parked = map[*parked]struct{}{}
	}
	p := &parked{gate: g, end: end}
	g.parked[p] = struct{}{}
	g.exit(used)
	return p
}

// TryReturn implements front.Parked.
func (p *parked) TryReturn() bool {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	return p.enter()
}

// enter counts one in if it is still parked and the gate open; mu is held.
func (p *parked) enter() bool {
	if p.dozed || !p.gate.open {
		return false
	}
	delete(p.gate.parked, p)
	p.gate.enter()
	return true
}

// Return implements front.Parked.
func (p *parked) Return(ctx context.Context, client netip.AddrPort) error {
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if !p.dozed && !g.open {
		p.waits = true
		g.join(Source{Client: client})
		defer p.stop()
	}
	for !p.enter() {
		if p.dozed {
			return front.ErrDozed
		}
		if err := g.block(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop ends that one waits to come back, unless a doze has; mu is held.
func (p *parked) stop() {
	if p.waits {
		p.waits = false
		p.gate.stop()
	}
}

// Leave implements front.Parked.
func (p *parked) Leave() {
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.parked, p)
	if g.empty() {
		g.changed()
	}
}

// doze has all who are parked ended, those among them who wait to come back as well: a target must not be woken for one who
// cannot be served any more. mu is held.
func (g *gate) doze() {
	if len(g.parked) == 0 {
		return
	}
	gone := g.parked
	g.parked = nil
	for p := range gone {
		p.dozed = true
		p.stop()
	}
	g.alert()
	go endParked(gone)
}

// endParked ends what was parked. It waits for nobody, but those who call doze must not wait for as much as this.
func endParked(gone map[*parked]struct{}) {
	for p := range gone {
		p.end()
	}
}

// empty reports whether nobody is inside, waits, or may come back; mu is held.
func (g *gate) empty() bool { return g.active == 0 && g.waiting == 0 && len(g.parked) == 0 }
