package front

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"tpa.dev/tpa/proxy/backend"
	"tpa.dev/tpa/proxy/hold"
	"tpa.dev/tpa/proxy/relay"
)

// Why connections are not served. Those of other packages are hold.ErrGone and backend.ErrNoBackend.
var (
	errBudget  = errors.New("too many connections held")
	errAsleep  = errors.New("target is asleep")
	errTimeout = errors.New("wake timeout")
	errWake    = errors.New("wake")
	errDial    = errors.New("connect to backend")
)

// conn is one accepted connection.
type conn struct {
	s       *Service
	port    *port
	client  *net.TCPConn
	addr    netip.AddrPort // the client's
	backend *net.TCPConn   // guarded by s.mu
	place   place
}

// accepted takes a connection from the accept loop, which it must not keep waiting.
func (s *Service) accepted(p *port, client *net.TCPConn) {
	s.stats.accepted.Add(1)
	c := &conn{s: s, port: p, client: client, addr: unmap(client.RemoteAddr())}
	c.place.conn = c
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if closed {
		relay.Abort(client)
		s.stats.ended[Aborted].Add(1)
		return
	}
	go c.serve()
}

// serve takes a connection all the way.
func (c *conn) serve() {
	err := c.handle()
	outcome := c.outcome(err)
	c.place.leave(outcome)
	if outcome != Relayed {
		relay.Abort(c.client)
	}
	switch outcome {
	case WakeTimeout, WakeError, DialError:
		c.s.config.OnError(fmt.Errorf("%s: %w", c.s.config.Name, err))
	}
	c.s.stats.ended[outcome].Add(1)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	delete(c.s.conns, c)
	c.s.noteEmpty()
}

// handle returns nil after relaying, or why it did not come to that.
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
	if c.port.passive.Load() || settings.ignores(c.addr.Addr()) {
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
	defer target.Release()
	if isOpen(target) {
		defer c.s.countLater(c.addr)()
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
	err = target.Acquire(ctx, c.addr)
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
	return hold.FirstByte(c.client)
}

// proxy connects to a backend and relays.
func (c *conn) proxy(settings *Settings, act *relay.Activity) error {
	b, err := c.dial()
	if err != nil {
		return err
	}
	defer b.Release()
	if !c.setBackend(b.TCPConn) {
		return ErrClosed
	}
	if v := settings.ProxyProtocol; v != 0 {
		header, err := v.header(c.addr, unmap(c.client.LocalAddr()))
		if err != nil {
			return fmt.Errorf("%w: %w", errDial, err)
		}
		if _, err := b.Write(header); err != nil {
			return fmt.Errorf("%w: proxy header: %w", errDial, err)
		}
	}
	c.place.leave(Relayed)
	c.s.stats.active.Add(1)
	defer c.s.stats.active.Add(-1)
	if result := relay.Relay(c.client, b.TCPConn, act); errors.Is(result.Err, relay.ErrAborted) {
		return ErrClosed
	}
	return nil
}

// dial makes one attempt right away. Only if that fails is the connection held, or held on.
func (c *conn) dial() (*backend.Conn, error) {
	if !c.place.watching() {
		if b, err := c.port.pool.DialOnce(c.s.ctx, c.addr); err == nil {
			return b, nil
		}
	}
	ctx, err := c.place.enter()
	if err != nil {
		return nil, err
	}
	b, err := c.port.pool.Dial(ctx, c.addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDial, err)
	}
	return b, nil
}

// setBackend lets abort find the backend's connection; false if it has run already.
func (c *conn) setBackend(b *net.TCPConn) bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.backend = b
	return !c.s.closed
}

// outcome classifies what handle returned.
func (c *conn) outcome(err error) Outcome {
	switch {
	case err == nil:
		return Relayed
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

// unmap returns a TCP address as the peer would write it: IPv4 is not ::ffff:a.b.c.d, as a dual-stack listener has it.
func unmap(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
