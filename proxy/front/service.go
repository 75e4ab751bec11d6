package front

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tpa.dev/tpa/proxy/backend"
	"tpa.dev/tpa/proxy/hold"
	"tpa.dev/tpa/proxy/listen"
	"tpa.dev/tpa/proxy/relay"
	"tpa.dev/tpa/proxy/tcp"
)

// ErrClosed is what a closed Service fails with.
var ErrClosed = errors.New("service is closed")

// ErrRetired is what a Target fails with that is not its Service's any more: the connection acquires the next one.
var ErrRetired = errors.New("target is retired")

// ErrDozed is what a Parked fails with whose target has left Awake: what the connection led to is about to go.
var ErrDozed = errors.New("target has left awake")

// Service accepts, holds and relays the connections of one managed Service. Its methods may be called at once by many.
type Service struct {
	config   Config
	settings atomic.Pointer[Settings]
	stats    Stats
	held     hold.Budget // this Service's; config.Budget is that of all

	ctx    context.Context // ends with Close; the cause is ErrClosed
	cancel context.CancelCauseFunc

	// holding is that of the held connections; it ends with ctx, or when the target does not exist.
	holding atomic.Pointer[holding]

	opening sync.Mutex // one change of the listeners at a time: closing one takes a moment

	mu    sync.Mutex
	ports map[uint16]*port
	pools map[uint16]*backend.Pool // outlive their ports, for the connections that are held
	conns conns
	// uncounted are those of them that no Target counts yet.
	uncounted map[*uncounted]struct{}
	empty     chan struct{} // if somebody waits for conns to be empty, closed when they are
	sweeping  *time.Timer   // of the sweeps; nil before the first
	sweepDue  bool
	closed    bool
}

// port is an open one.
type port struct {
	listener *listen.Listener
	pool     *backend.Pool
	passive  atomic.Bool
	number   atomic.Int32
}

// set has the port be as wanted.
func (p *port) set(want Port) {
	p.passive.Store(want.Passive)
	p.number.Store(want.Number)
}

// New returns a Service without ports, with default settings.
func New(config Config) *Service {
	if config.OnError == nil {
		config.OnError = func(error) {}
	}
	s := &Service{
		config: config,
		ports:  make(map[uint16]*port),
		pools:  make(map[uint16]*backend.Pool),

		uncounted: make(map[*uncounted]struct{}),
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.holding.Store(s.newHolding())
	s.SetSettings(Settings{})
	return s
}

// SetSettings changes the settings for connections accepted from now on. ParkAfter applies to all; those that were parked and
// would not be any more come back.
func (s *Service) SetSettings(settings Settings) {
	settings = settings.withDefaults(s.config.Target)
	settings.IgnoreSources = slices.Clone(settings.IgnoreSources)
	for _, session := range s.set(&settings) {
		session.Wake()
	}
}

// set changes the settings, and returns the sessions that may not stay parked with them.
func (s *Service) set(settings *Settings) (recalled []*relay.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.settings.Swap(settings)
	s.setMissing(settings.OnMissing != nil)
	s.held.SetMax(settings.MaxHeld)
	s.countAll()
	for _, pool := range s.pools {
		pool.SetAffinity(settings.Affinity)
	}
	if before != nil && before.ParkAfter != settings.ParkAfter {
		s.stopSweeping()
	}
	s.sweepLater()
	return s.recalled(settings)
}

// replaced reports whether the Target of some settings failed because the Service has another one by now.
func (s *Service) replaced(settings *Settings, err error) bool {
	return errors.Is(err, ErrRetired) && s.settings.Load() != settings
}

// SetPorts opens what is new, keeps what stays and closes the listeners of what is gone; connections go on. The error
// names the ports that could not be opened; call again to try again.
func (s *Service) SetPorts(ports []Port) error {
	s.opening.Lock()
	defer s.opening.Unlock()
	var errs []error
	wanted := make(map[uint16]bool, len(ports))
	for _, want := range ports {
		wanted[want.Listen] = true
		if err := s.openPort(want); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.config.Name, err))
		}
	}
	for _, number := range s.Listening() {
		if !wanted[number] {
			s.closePort(number)
		}
	}
	return errors.Join(errs...)
}

// openPort opens a port or, if it is open, updates it. The caller holds s.opening.
func (s *Service) openPort(want Port) error {
	s.mu.Lock()
	p, closed := s.ports[want.Listen], s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case want.Listen == 0:
		return errors.New("port 0 is not a port to listen on")
	case p != nil:
		p.set(want)
		return nil
	}
	p = &port{pool: s.pool(want.Listen)}
	p.set(want)
	serve := func(c *tcp.Conn) { s.accepted(p, c) }
	listener, err := listen.Open(want.Listen, s.config.Loops, serve, func(err error) {
		s.config.OnError(fmt.Errorf("%s: %w", s.config.Name, err))
	})
	if err != nil {
		return err
	}
	p.listener = listener
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports[want.Listen] = p
	return nil
}

// closePort closes an open port. The caller holds s.opening.
func (s *Service) closePort(number uint16) {
	s.mu.Lock()
	p := s.ports[number]
	delete(s.ports, number)
	s.mu.Unlock()
	p.listener.Close()
}

// Listening returns the open ports, sorted.
func (s *Service) Listening() []uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	numbers := make([]uint16, 0, len(s.ports))
	for number := range s.ports {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	return numbers
}

// SetBackends sets where the connections of a port go. The port need not be open yet, and may be closed already:
// connections that it has accepted may still be held.
func (s *Service) SetBackends(listen uint16, addrs []netip.AddrPort) { s.pool(listen).Set(addrs) }

func (s *Service) pool(listen uint16) *backend.Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	pool := s.pools[listen]
	if pool == nil {
		pool = &backend.Pool{OnFailure: func(error) { s.stats.dialErrs.Add(1) }}
		pool.SetAffinity(s.settings.Load().Affinity)
		s.pools[listen] = pool
	}
	return pool
}

// Stats returns the counters.
func (s *Service) Stats() *Stats { return &s.stats }

// CloseListeners stops accepting. Connections go on, held ones too.
func (s *Service) CloseListeners() { _ = s.SetPorts(nil) }

// Close ends everything now: listeners, and connections by a reset. It returns when all is gone.
func (s *Service) Close() {
	s.abort()
	s.CloseListeners()
	<-s.whenEmpty()
}

// DrainError says that Drain had to end connections.
type DrainError struct {
	Service string
	Aborted int
}

func (e *DrainError) Error() string {
	return fmt.Sprintf("%s: %d connections aborted at the end of the drain", e.Service, e.Aborted)
}

// Drain waits for all connections to end by themselves; call CloseListeners first. If ctx ends sooner it closes the
// Service and returns a *DrainError with the number of connections that were aborted.
func (s *Service) Drain(ctx context.Context) error {
	select {
	case <-s.whenEmpty():
		return nil
	case <-ctx.Done():
	}
	n := s.abort()
	s.CloseListeners()
	<-s.whenEmpty()
	if n == 0 {
		return nil
	}
	return &DrainError{Service: s.config.Name, Aborted: n}
}

// abort resets all connections, has later ones reset, and returns how many there were. Those that have no session yet
// end with ctx.
func (s *Service) abort() int {
	s.mu.Lock()
	s.closed = true
	s.stopSweeping()
	n := s.conns.n
	sessions := make([]*relay.Session, 0, n)
	for c := range s.conns.all() {
		if c.session != nil {
			sessions = append(sessions, c.session)
		}
	}
	s.mu.Unlock()
	s.cancel(ErrClosed)
	for _, session := range sessions {
		session.Abort()
	}
	return n
}

// whenEmpty returns a channel that is closed once there is no connection.
func (s *Service) whenEmpty() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.noteEmpty()
	return empty
}

// noteEmpty tells those who wait if there is no connection. The caller holds s.mu.
func (s *Service) noteEmpty() {
	if s.empty != nil && s.conns.n == 0 {
		close(s.empty)
		s.empty = nil
	}
}
