package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"tpa.dev/tpa/proxy/tcp"
)

const (
	connectTimeout = 3 * time.Second // for one attempt: it covers one lost SYN, which the kernel repeats after 1 s
	minBackoff     = 5 * time.Millisecond
	maxBackoff     = 250 * time.Millisecond
)

// What callers tell apart. Errors of Dial wrap at most one of them.
var (
	ErrNoBackend = errors.New("no backend")
	ErrBusy      = errors.New("all connects to the backend are taken")
)

// Conn is a connection to a backend. Whoever has it closes it.
type Conn struct {
	*tcp.Conn
	backend *Backend
	took    time.Duration
}

// Backend returns the address that was dialed.
func (c *Conn) Backend() netip.AddrPort { return c.backend.addr }

// Took returns how long the attempt took that Dial succeeded with; 0 after DialOnce.
func (c *Conn) Took() time.Duration { return c.took }

// Release stops counting the connection. It is called once, when the connection has ended.
func (c *Conn) Release() { c.backend.inFlight.Add(-1) }

// Hello is what a connection begins with, sent by whoever dials. If it cannot be sent, the attempt has failed. Nil for
// nothing. It must not wait.
type Hello func(*tcp.Conn) error

// DialOnce makes one attempt and waits for nothing, nor makes the caller wait: done is called once with the outcome, as
// that of tcp.Connect. It fails at once with ErrNoBackend or ErrBusy if the attempt would have to wait.
func (p *Pool) DialOnce(ctx context.Context, l *tcp.Loop, client netip.AddrPort, hello Hello, done func(*Conn, error)) {
	s := p.load()
	if len(s.backends) == 0 {
		done(nil, ErrNoBackend)
		return
	}
	b := p.pick(s.backends, client.Addr())
	select {
	case b.connects <- struct{}{}:
	default:
		done(nil, fmt.Errorf("dial %s: %w", b.addr, ErrBusy))
		return
	}
	b.inFlight.Add(1)
	began := time.Now()
	tcp.Connect(ctx, l, b.addr, connectTimeout, func(c *tcp.Conn, err error) {
		done(p.connected(ctx, b, began, c, hello, err))
	})
}

// Dial connects to a backend, waiting for one to exist and trying again until ctx ends. The error then wraps the
// context's cause, and ErrNoBackend or what the last attempt met.
func (p *Pool) Dial(ctx context.Context, l *tcp.Loop, client netip.AddrPort, hello Hello) (*Conn, error) {
	r := retry{pool: p}
	for {
		s := p.load()
		if len(s.backends) == 0 {
			if !r.wait(ctx, s.changed, nil) {
				return nil, r.gaveUp(ctx)
			}
			continue
		}
		b := p.pick(s.backends, client.Addr())
		if r.last != nil && (b.avoided(time.Now().UnixNano()) || localFault(r.last)) { // nobody would do better now
			if !r.backOff(ctx, s.changed) {
				return nil, r.gaveUp(ctx)
			}
			if p.load() != s {
				continue
			}
		}
		b.inFlight.Add(1) // who waits for a turn is a load, too
		select {
		case b.connects <- struct{}{}:
		case <-s.changed:
			b.inFlight.Add(-1)
			continue
		case <-ctx.Done():
			b.inFlight.Add(-1)
			return nil, r.gaveUp(ctx)
		}
		began := time.Now()
		conn, err := tcp.Dial(ctx, l, b.addr, connectTimeout)
		c, err := p.connected(ctx, b, began, conn, hello, err)
		if err == nil {
			c.took = time.Since(began)
			return c, nil
		}
		interrupted := ctx.Err() != nil
		if !interrupted || r.last == nil { // an interrupted attempt says less than one that failed
			r.attempts, r.last = r.attempts+1, err
		}
		if interrupted {
			return nil, r.gaveUp(ctx)
		}
	}
}

// connected notes the outcome of an attempt, and gives its token back.
func (p *Pool) connected(ctx context.Context, b *Backend, began time.Time, c *tcp.Conn, hello Hello, err error) (*Conn, error) {
	<-b.connects
	if err == nil && hello != nil {
		if err = hello(c); err != nil {
			c.Close()
			err = fmt.Errorf("dial %s: %w", b.addr, err)
		}
	}
	if err != nil {
		b.inFlight.Add(-1)
		if ctx.Err() == nil {
			if !localFault(err) {
				now := time.Now()
				b.avoid.Store(now.Add(avoidance(now.Sub(began))).UnixNano())
			}
			if p.OnFailure != nil {
				p.OnFailure(err)
			}
		}
		return nil, err // names the address
	}
	if b.avoid.Load() != 0 {
		b.avoid.Store(0)
	}
	return &Conn{Conn: c, backend: b}, nil
}

// retry is the state of one Dial.
type retry struct {
	pool     *Pool
	attempts int
	last     error
	pause    time.Duration
}

// backOff waits before an attempt on a backend that has just refused; a changed set cuts it short. Half of the time is
// random, so that connections held together do not come back together.
func (r *retry) backOff(ctx context.Context, changed <-chan struct{}) bool {
	r.pause = min(max(2*r.pause, minBackoff), maxBackoff)
	timer := time.NewTimer(r.pause/2 + rand.N(r.pause/2))
	defer timer.Stop()
	return r.wait(ctx, changed, timer.C)
}

// wait returns true on a changed set or after the time, false when ctx ends.
func (r *retry) wait(ctx context.Context, changed <-chan struct{}, after <-chan time.Time) bool {
	select {
	case <-changed:
		return true
	case <-after:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *retry) gaveUp(ctx context.Context) error {
	<-ctx.Done()
	cause := context.Cause(ctx)
	switch {
	case r.last != nil && r.attempts == 1:
		return fmt.Errorf("1 attempt: %w: %w", r.last, cause)
	case r.last != nil:
		return fmt.Errorf("%d attempts, the last: %w: %w", r.attempts, r.last, cause)
	case r.pool.Len() > 0:
		return fmt.Errorf("%w: %w", ErrBusy, cause)
	default:
		return fmt.Errorf("%w: %w", ErrNoBackend, cause)
	}
}
