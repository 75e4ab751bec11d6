package front

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"tpa.dev/tpa/proxy/backend"
	"tpa.dev/tpa/proxy/hold"
	"tpa.dev/tpa/proxy/relay"
	"tpa.dev/tpa/proxy/tcp"
)

// Why connections are not served. Those of other packages are hold.ErrGone and backend.ErrNoBackend.
var (
	errBudget  = errors.New("too many connections held")
	errAsleep  = errors.New("target is asleep")
	errMissing = errors.New("target does not exist")
	errNoData  = errors.New("no byte from the client")
	errTimeout = errors.New("wake timeout")
	errWake    = errors.New("wake")
	errDial    = errors.New("connect to backend")
)

// conn is one accepted connection. The loop takes it to a relay session by itself if nothing has to be waited for;
// otherwise a goroutine does. After that only the session keeps it.
type conn struct {
	s      *Service
	port   *port
	client *tcp.Conn
	place  place
	since  time.Time   // when it was accepted
	uses   atomic.Bool // whether it counts as use of the target, or wakes it

	before, next *conn // in s.conns; guarded by s.mu

	act     *relay.Activity // that it counts in, from when it is admitted
	target  Target          // that counts it as use; nil if none does
	uncount func()          // ends counting by later Targets; nil if there is nothing to end
	backend *backend.Conn   // from when it is connected
	session *relay.Session  // guarded by s.mu
	parking *parking        // guarded by session's lock; nil if it was never parked
}

// accepted takes a connection from the loop that accepts, which it must not keep waiting.
func (s *Service) accepted(p *port, client *tcp.Conn) {
	s.stats.accepted.Add(1)
	c := &conn{s: s, port: p, client: client, since: time.Now()}
	c.place.conn = c
	s.mu.Lock()
	closed := s.closed
	full := !closed && !s.config.Connections.AcquireShare(int64(s.conns.n))
	if !closed && !full {
		s.conns.add(c)
	}
	s.mu.Unlock()
	switch {
	case closed:
		client.Abort()
		s.stats.ended[Aborted].Add(1)
	case full:
		client.Abort()
		s.stats.ended[RefusedFull].Add(1)
	case c.tryAdmit(s.settings.Load()):
		p.pool.DialOnce(s.ctx, client.Loop(), client.Remote(), c.hello(), c.dialed)
	default:
		go c.serve()
	}
}

// dialed goes on after the first attempt to connect. If that has failed, the connection is held.
func (c *conn) dialed(b *backend.Conn, err error) {
	if err != nil {
		go c.serve()
		return
	}
	c.relay(b)
}

// serve takes a connection to a relay session, waiting for what is missing, or ends it.
func (c *conn) serve() {
	err := c.handle()
	if err == nil {
		return
	}
	outcome := c.outcome(err)
	c.place.leave(outcome)
	c.client.Abort()
	switch outcome {
	case WakeTimeout, WakeError, DialError:
		c.s.config.OnError(fmt.Errorf("%s: %w", c.s.config.Name, err))
	}
	c.ended(end{outcome, time.Now()})
}

// handle returns nil if a session has begun, or why it did not come to that.
func (c *conn) handle() error {
	for {
		settings := c.s.settings.Load()
		c.place.timeout = settings.WakeTimeout
		if !c.counts(settings) {
			c.place.timeout = min(settings.WakeTimeout, passiveTimeout)
		}
		err := c.admit(settings)
		if err == nil {
			return c.proxy()
		}
		if !c.s.replaced(settings, err) {
			return err
		}
	}
}

// counts reports whether the connection is use of the target.
func (c *conn) counts(settings *Settings) bool {
	return !c.port.passive.Load() && !settings.ignores(c.client.Remote().Addr())
}

// from is who has connected.
func (c *conn) from() Client { return Client{Addr: c.client.Remote(), Port: c.port.number.Load()} }

// tryAdmit admits the connection if that takes no waiting: the target is awake. It runs for every connection, and while
// the claim is held it must cost nothing.
func (c *conn) tryAdmit(settings *Settings) bool {
	if !c.counts(settings) {
		if !settings.Target.Awake() {
			return false
		}
		c.act = &c.s.stats.ignored
		return true
	}
	if !settings.Target.TryAcquire() {
		return false
	}
	c.counted(settings)
	return true
}

// counted notes that the target counts the connection.
func (c *conn) counted(settings *Settings) {
	c.act, c.target = &c.s.stats.counted, settings.Target
	c.uses.Store(true)
	if isOpen(settings.Target) {
		c.uncount = c.s.countLater(c.from())
	}
}

// admit returns nil once the connection has an awake target, which it may have had before.
func (c *conn) admit(settings *Settings) error {
	switch {
	case c.act != nil || c.tryAdmit(settings):
		return nil
	case !c.counts(settings):
		return errAsleep
	}
	if settings.WakeOnData {
		if err := c.firstByte(); err != nil {
			return err
		}
	}
	ctx, err := c.place.enter()
	if err != nil {
		return err
	}
	c.uses.Store(true)
	err = settings.Target.Acquire(ctx, c.from())
	switch {
	case err == nil:
		c.counted(settings)
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w: %w", errWake, context.Cause(ctx), err)
	default:
		return fmt.Errorf("%w: %w", errWake, err)
	}
}

// firstByte waits in one of the places for held connections, and not longer than for a backend: clients that only connect
// must not take all places from the others.
func (c *conn) firstByte() error {
	if err := c.place.take(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(c.s.ctx, c.place.timeout, errNoData)
	defer cancel()
	return hold.FirstByte(ctx, c.client)
}

// proxy connects to a backend, held until there is one, and has a session relay.
func (c *conn) proxy() error {
	ctx, err := c.place.enter()
	if err != nil {
		return err
	}
	b, err := c.port.pool.Dial(ctx, c.client.Loop(), c.client.Remote(), c.hello())
	if err != nil {
		return fmt.Errorf("%w: %w", errDial, err)
	}
	c.relay(b)
	return nil
}

// relay has a session relay between the client and a backend.
func (c *conn) relay(b *backend.Conn) {
	c.backend = b
	c.place.leave(Relayed)
	c.s.stats.active.Add(1)
	session := relay.Start(c.client, b.Conn, c.act, c.relayed)
	c.s.mu.Lock()
	c.session = session
	c.s.sweepLater()
	closed := c.s.closed
	c.s.mu.Unlock()
	if closed {
		session.Abort()
	}
}

// relayed is called when the session has ended.
func (c *conn) relayed(result relay.Result) {
	c.s.stats.active.Add(-1)
	e := end{c.relayedOutcome(result.Err), time.Now()}
	if c.s.settings.Load().ParkAfter > 0 {
		e.used = result.Last // an end is no traffic either
	}
	switch {
	case c.parking != nil && c.parking.deferred(e):
	case c.uncount != nil:
		go c.ended(e) // it may have to wait, and the session's loop must not
	default:
		c.ended(e)
	}
}

// relayedOutcome classifies the error that a session ended with.
func (c *conn) relayedOutcome(err error) Outcome {
	switch {
	case errors.Is(err, relay.ErrParked):
		return Dozed
	case !errors.Is(err, relay.ErrAborted):
		return Relayed
	case c.parking != nil:
		return c.parking.outcome(c)
	default:
		return Aborted
	}
}

// ended gives back what the connection has taken. Both of its ends are closed.
func (c *conn) ended(e end) {
	if c.backend != nil {
		c.backend.Release()
	}
	if c.uncount != nil {
		c.uncount()
	}
	switch {
	case c.parking != nil && c.parking.place != nil:
		c.parking.place.Leave()
		c.s.stats.parked.Add(-1)
	case c.target != nil:
		c.target.Release(e.used)
	}
	c.s.config.Connections.Release()
	c.s.stats.ended[e.outcome].Add(1)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.conns.remove(c)
	c.s.noteEmpty()
}

// outcome classifies the error that handle returned.
func (c *conn) outcome(err error) Outcome {
	switch {
	case errors.Is(err, ErrClosed), c.s.ctx.Err() != nil:
		return Aborted
	case errors.Is(err, errBudget):
		return RefusedBudget
	case errors.Is(err, errAsleep):
		return RefusedAsleep
	case errors.Is(err, errMissing):
		return RefusedMissing
	case errors.Is(err, hold.ErrGone):
		return ClientGone
	case errors.Is(err, errNoData):
		return NoData
	case errors.Is(err, errTimeout) && (errors.Is(err, errWake) || errors.Is(err, backend.ErrNoBackend)):
		return WakeTimeout
	case errors.Is(err, errWake):
		return WakeError
	default:
		return DialError
	}
}
