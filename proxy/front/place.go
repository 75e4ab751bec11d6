package front

import (
	"context"
	"fmt"
	"time"

	"tpa.dev/tpa/proxy/hold"
)

// place is a connection's place among the held ones. The zero value is not taken; taking it twice is taking it once.
type place struct {
	conn    *conn
	timeout time.Duration

	since  time.Time       // when it was taken, or the wait for the target began
	ctx    context.Context // ends with the time-out, the client's departure or the Service
	cancel func()
}

// take takes a place, or fails with errBudget.
func (p *place) take() error {
	if !p.since.IsZero() {
		return nil
	}
	s := p.conn.s
	if !s.held.Acquire() {
		return fmt.Errorf("%w for this Service", errBudget)
	}
	if !s.config.Budget.AcquireShare(s.held.Held() - 1) {
		s.held.Release()
		return fmt.Errorf("%w by this proxy", errBudget)
	}
	p.since = time.Now()
	s.stats.wasHeld.Add(1)
	if s.stats.held.Add(1) == 1 && s.config.OnHold != nil {
		s.config.OnHold()
	}
	return nil
}

// enter takes a place, and has it end when the time is up or the client goes away.
func (p *place) enter() (context.Context, error) {
	if p.watching() {
		return p.ctx, nil
	}
	s := p.conn.s
	holding, err := s.mayHold()
	if err != nil {
		return nil, err
	}
	if err := p.take(); err != nil {
		return nil, err
	}
	p.since = time.Now()
	timed, stopTimer := context.WithTimeoutCause(holding, p.timeout, errTimeout)
	ctx, cancel := context.WithCancelCause(timed)
	unwatch := hold.Watch(p.conn.client, func() { cancel(hold.ErrGone) })
	p.ctx = ctx
	p.cancel = func() {
		unwatch()
		cancel(nil)
		stopTimer()
	}
	return ctx, nil
}

func (p *place) watching() bool { return p.ctx != nil }

// leave gives the place back, if it was taken.
func (p *place) leave(outcome Outcome) {
	if p.since.IsZero() {
		return
	}
	if p.cancel != nil {
		p.cancel()
	}
	s := p.conn.s
	s.stats.held.Add(-1)
	s.held.Release()
	s.config.Budget.Release()
	if s.config.OnHeld != nil {
		held := Held{Waited: time.Since(p.since), Outcome: outcome, Target: p.conn.target}
		if p.conn.backend != nil {
			held.Connect = p.conn.backend.Took()
		}
		s.config.OnHeld(held)
	}
	*p = place{conn: p.conn}
}
