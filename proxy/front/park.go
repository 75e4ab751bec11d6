package front

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tpa.dev/tpa/proxy/relay"
)

// sweeps is how often connections are looked at while Settings.ParkAfter goes by.
const sweeps = 4

// parking is what a connection has that has been parked before. Nothing passes a parked connection before its Target counts
// it again.
type parking struct {
	mu        sync.Mutex
	place     Parked // nil while the Target counts the connection
	returning bool   // comeBack is under way
	failure   error  // why it did not come back
	end       *end   // what comeBack has yet to do: the session has ended
}

// end is how a connection ended.
type end struct {
	outcome Outcome
	used    time.Time
}

// sweepLater has connections looked at in a while, if there is a reason to. The caller holds s.mu.
func (s *Service) sweepLater() {
	after := s.settings.Load().ParkAfter
	if after <= 0 || s.sweepDue || s.closed || s.conns.n == 0 {
		return
	}
	s.sweepDue = true
	if s.sweeping == nil {
		s.sweeping = time.AfterFunc(after/sweeps, s.sweep)
		return
	}
	s.sweeping.Reset(after / sweeps)
}

// stopSweeping ends what sweepLater began. The caller holds s.mu.
func (s *Service) stopSweeping() {
	if s.sweepDue {
		s.sweepDue = false
		s.sweeping.Stop()
	}
}

// sweep parks the connections that have been silent for long enough.
func (s *Service) sweep() {
	conns, since := s.sweepable()
	for _, c := range conns {
		c.session.Park(since, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweepLater()
}

// sweepable returns what may be parked if it has been silent since a time. To park takes a Target's lock, which a Target may
// hold when it calls the Service: so it is not done with s.mu held.
func (s *Service) sweepable() (conns []*conn, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sweepDue { // stopped at the last moment
		return nil, since
	}
	s.sweepDue = false
	for c := range s.conns.all() {
		if c.session != nil {
			conns = append(conns, c)
		}
	}
	return conns, time.Now().Add(-s.settings.Load().ParkAfter)
}

// recalled returns the sessions that may not stay parked with the settings: they count again, by the Target or, if that is
// an Open, by the next one. It is asked after the settings have changed. The caller holds s.mu.
func (s *Service) recalled(settings *Settings) (sessions []*relay.Session) {
	if settings.parks() || s.stats.parked.Load() == 0 {
		return nil
	}
	for c := range s.conns.all() {
		if c.session != nil {
			sessions = append(sessions, c.session)
		}
	}
	return sessions
}

// parks reports whether silent connections are parked.
func (s *Settings) parks() bool { return s.ParkAfter > 0 && !isOpen(s.Target) }

// Park implements relay.Owner.
func (c *conn) Park(last time.Time) bool {
	if c.target == nil || c.uncount != nil {
		return false // it does not count, or until it ends
	}
	c.s.stats.parked.Add(1)
	if !c.s.settings.Load().parks() { // looked at after it was counted: either this sees new settings, or recalled the count
		c.s.stats.parked.Add(-1)
		return false
	}
	if c.parking == nil {
		c.parking = &parking{}
	}
	p := c.parking
	p.mu.Lock()
	defer p.mu.Unlock()
	p.place = c.target.Park(last, c.session.End)
	c.uses.Store(false)
	return true
}

// Wake implements relay.Owner.
func (c *conn) Wake() bool {
	p := c.parking
	p.mu.Lock()
	defer p.mu.Unlock()
	if !isOpen(c.s.settings.Load().Target) && p.place.TryReturn() {
		c.unparked()
		return true
	}
	p.returning = true
	go c.comeBack()
	return false
}

// unparked notes that the connection has left its place. The caller holds parking.mu.
func (c *conn) unparked() {
	c.parking.place = nil
	c.uses.Store(true)
	c.s.stats.parked.Add(-1)
}

// comeBack has the connection counted again, which may have to be waited for, and its session go on or end.
func (c *conn) comeBack() {
	err := c.comesBack()
	p := c.parking
	p.mu.Lock()
	p.returning, p.failure = false, err
	end := p.end
	p.mu.Unlock()
	switch {
	case end != nil:
		c.ended(*end)
	case err == nil:
		c.session.Resume()
	case errors.Is(err, ErrDozed):
		c.session.End()
	default:
		c.s.config.OnError(fmt.Errorf("%s: %w", c.s.config.Name, err))
		c.session.Abort()
	}
}

func (c *conn) comesBack() error {
	p, settings := c.parking, c.s.settings.Load()
	ctx, cancel := context.WithTimeoutCause(c.s.ctx, settings.WakeTimeout, errTimeout)
	defer cancel()
	err := ErrRetired // where nobody counts, or another Target does by now
	if !isOpen(settings.Target) {
		err = p.place.Return(ctx, c.client.Remote())
	}
	if errors.Is(err, ErrRetired) {
		p.place.Leave()
		err = c.acquireNext(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errWake, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.unparked()
	return nil
}

// acquireNext acquires the Target that Settings name by now.
func (c *conn) acquireNext(ctx context.Context) error {
	for {
		settings := c.s.settings.Load()
		err := settings.Target.Acquire(ctx, c.from())
		if err == nil {
			c.counted(settings)
			return nil
		}
		if !c.s.replaced(settings, err) {
			return err
		}
	}
}

// deferred leaves the end of the connection to comeBack, if that is under way.
func (p *parking) deferred(e end) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.returning {
		p.end = &e
	}
	return p.returning
}

// outcome is that of a connection that was aborted, be it because it could not come back.
func (p *parking) outcome(c *conn) Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failure == nil {
		return Aborted
	}
	return c.outcome(p.failure)
}
