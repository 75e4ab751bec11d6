package services

import (
	"context"
	"net/netip"
	"time"

	"tpa.dev/tpa/proxy/front"
)

// Park implements front.Target. Who is parked is not inside: if the Service gets other targets, it acquires those when it
// comes back.
func (g *gate) Park(used time.Time, dozed func()) front.Parked {
	p := &gateParked{g, &allParked{targets: g.keepers, used: used, dozed: dozed, places: make([]front.Parked, len(g.keepers))}}
	p.place.park(len(g.keepers))
	g.leave()
	return p
}

// gateParked is a connection that is parked in front of a Service's gate.
type gateParked struct {
	gate  *gate
	place *allParked
}

// TryReturn implements front.Parked.
func (p *gateParked) TryReturn() bool { return p.place.TryReturn() && p.enter() }

// Return implements front.Parked.
func (p *gateParked) Return(ctx context.Context, client netip.AddrPort) error {
	if p.gate.isClosed() {
		return front.ErrRetired // without a claim on what the Service does not lead to any more
	}
	if err := p.place.Return(ctx, client); err != nil {
		return err
	}
	if !p.enter() {
		return front.ErrRetired
	}
	return nil
}

// enter enters the gate after a return to its targets, or undoes that if the gate is closed.
func (p *gateParked) enter() bool {
	if p.gate.enter() {
		return true
	}
	p.place.park(len(p.place.targets))
	return false
}

// Leave implements front.Parked.
func (p *gateParked) Leave() { p.place.Leave() }

// allParked is a connection that is parked with each of several targets.
type allParked struct {
	targets all
	used    time.Time
	dozed   func()
	places  []front.Parked
}

// park parks the connection with the first n targets.
func (p *allParked) park(n int) {
	for i := range n {
		p.parkWith(i)
	}
}

func (p *allParked) parkWith(i int) { p.places[i] = p.targets[i].Park(p.used, p.dozed) }

// TryReturn returns to all or none.
func (p *allParked) TryReturn() bool {
	for i, place := range p.places {
		if !place.TryReturn() {
			p.park(i)
			return false
		}
	}
	return true
}

// Return returns to all at the same time, or to none.
func (p *allParked) Return(ctx context.Context, client netip.AddrPort) error {
	return together(ctx, len(p.places),
		func(ctx context.Context, i int) error { return p.places[i].Return(ctx, client) },
		p.parkWith) // again, so that Leave leaves all
}

// Leave leaves all.
func (p *allParked) Leave() {
	for _, place := range p.places {
		place.Leave()
	}
}
