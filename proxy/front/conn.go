package front

import (
	"context"
	"errors"
	"fmt"
	"io"

	"tpa.dev/tpa/proxy/backend"
	"tpa.dev/tpa/proxy/hold"
	"tpa.dev/tpa/proxy/relay"
	"tpa.dev/tpa/proxy/tcp"
)

// Why connections are not served. Those of other packages are hold.ErrGone and backend.ErrNoBackend.
var (
	errBudget  = errors.New("too many connections held")
	errAsleep  = errors.New("target is asleep")
	errTimeout = errors.New("wake timeout")
	errWake    = errors.New("wake")
	errDial    = errors.New("connect to backend")
)

// conn is one accepted connection. A goroutine takes it as far as a relay session; after that only the session keeps it.
type conn struct {
	s      *Service
	port   *port
	client *tcp.Conn
	place  place

	target  Target         // that counts the connection as use; nil if none does
	uncount func()         // ends counting by later Targets; nil if there is nothing to end
	backend *backend.Conn  // from when it is connected
	session *relay.Session // guarded by s.mu
}

// accepted takes a connection from the accept loop, which it must not keep waiting.
func (s *Service) accepted(p *port, client *tcp.Conn) {
	s.stats.accepted.Add(1)
	c := &conn{s: s, port: p, client: client}
	c.place.conn = c
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if closed {
		client.Abort()
		s.stats.ended[Aborted].Add(1)
		return
	}
	go c.serve()
}

// serve takes a connection to a relay session, or ends it.
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
	c.ended(outcome)
}

// handle returns nil if a session has begun, or why it did not come to that.
func (c *conn) handle() error {
	for {
		settings := c.s.settings.Load()
		err := c.handleWith(settings)
		if !errors.Is(err, ErrRetired) || c.s.settings.Load() == settings {
			return err
		}
	}
}

func (c *conn) handleWith(settings *Settings) error {
	target := settings.Target
	if c.port.passive.Load() || settings.ignores(c.client.Remote().Addr()) {
		if !target.Awake() {
			return errAsleep
		}
		c.place.timeout = min(settings.WakeTimeout, passiveTimeout)
		return c.proxy(settings, &c.s.stats.ignored)
	}
	c.place.timeout = settings.WakeTimeout
	if err := c.claim(settings); err != nil {
		return err
	}
	c.target = target
	if isOpen(target) {
		c.uncount = c.s.countLater(c.client.Remote())
	}
	return c.proxy(settings, &c.s.stats.counted)
}

// claim returns nil once the connection counts as use of an awake target. It runs for every connection, and while the
// claim is held it must cost nothing.
func (c *conn) claim(settings *Settings) error {
	target := settings.Target
	if target.TryAcquire() {
		return nil
	}
	if settings.WakeOnData {
		if err := c.firstByte(); err != nil {
			return err
		}
		if target.TryAcquire() {
			return nil
		}
	}
	ctx, err := c.place.enter()
	if err != nil {
		return err
	}
	err = target.Acquire(ctx, c.client.Remote())
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w: %w", errWake, context.Cause(ctx), err)
	default:
		return fmt.Errorf("%w: %w", errWake, err)
	}
}

// firstByte waits, for as long as the client likes, in one of the places for held connections.
func (c *conn) firstByte() error {
	if err := c.place.take(); err != nil {
		return err
	}
	return hold.FirstByte(c.s.ctx, c.client)
}

// proxy connects to a backend and has a session relay.
func (c *conn) proxy(settings *Settings, act *relay.Activity) error {
	b, err := c.dial()
	if err != nil {
		return err
	}
	c.backend = b
	if v := settings.ProxyProtocol; v != 0 {
		if err := c.introduce(v); err != nil {
			b.Close()
			return fmt.Errorf("%w: %w", errDial, err)
		}
	}
	c.place.leave(Relayed)
	c.s.stats.active.Add(1)
	session := relay.Start(c.client, b.Conn, act, c.relayed)
	c.s.mu.Lock()
	c.session = session
	closed := c.s.closed
	c.s.mu.Unlock()
	if closed {
		session.Abort()
	}
	return nil
}

// introduce sends the backend a PROXY header. A fresh connection takes it whole.
func (c *conn) introduce(v ProxyProtocol) error {
	local, err := c.client.Local()
	if err != nil {
		return err
	}
	header, err := v.header(c.client.Remote(), local)
	if err != nil {
		return err
	}
	n, err := c.backend.Write(header)
	if err == nil && n < len(header) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("proxy header to %s: %w", c.backend.Backend(), err)
	}
	return nil
}

// relayed is called when the session has ended.
func (c *conn) relayed(result relay.Result) {
	c.s.stats.active.Add(-1)
	outcome := Relayed
	if errors.Is(result.Err, relay.ErrAborted) {
		outcome = Aborted
	}
	if c.uncount != nil {
		go c.ended(outcome) // it may have to wait, and the session's loop must not
		return
	}
	c.ended(outcome)
}

// ended gives back what the connection has taken. Both of its ends are closed.
func (c *conn) ended(outcome Outcome) {
	if c.backend != nil {
		c.backend.Release()
	}
	if c.uncount != nil {
		c.uncount()
	}
	if c.target != nil {
		c.target.Release()
	}
	c.s.stats.ended[outcome].Add(1)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	delete(c.s.conns, c)
	c.s.noteEmpty()
}

// dial makes one attempt right away. Only if that fails is the connection held, or held on.
func (c *conn) dial() (*backend.Conn, error) {
	if !c.place.watching() {
		if b, err := c.port.pool.DialOnce(c.s.ctx, c.client.Loop(), c.client.Remote()); err == nil {
			return b, nil
		}
	}
	ctx, err := c.place.enter()
	if err != nil {
		return nil, err
	}
	b, err := c.port.pool.Dial(ctx, c.client.Loop(), c.client.Remote())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDial, err)
	}
	return b, nil
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
	case errors.Is(err, hold.ErrGone):
		return ClientGone
	case errors.Is(err, errTimeout) && (errors.Is(err, errWake) || errors.Is(err, backend.ErrNoBackend)):
		return WakeTimeout
	case errors.Is(err, errWake):
		return WakeError
	default:
		return DialError
	}
}
