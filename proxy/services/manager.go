package services

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/hold"
	"tpa.dev/tpa/proxy/kube"
	"tpa.dev/tpa/proxy/target"
	"tpa.dev/tpa/proxy/tcp"
)

// turns is how many calls to the API server are under way at once that nobody waits for.
const turns = 8

// retryAfter is when a port that could not be opened is tried again.
const retryAfter = time.Second

// Options of a Manager. All fields are required.
type Options struct {
	// Namespace is the one whose Services are served; Pod and PodUID are this proxy's own pod in it.
	Namespace string
	Pod       string
	PodUID    types.UID
	// ShutdownDelay is how long connections are still accepted after the end was asked for: endpoints elsewhere still
	// point here. 15s or more. Longer while connections still come, or no other proxy is ready.
	ShutdownDelay time.Duration
	// DrainTimeout is how long open connections may take to end after that.
	DrainTimeout time.Duration
	// Linger is how long a port is still listened on after its Service has gone or got another. 60s or more.
	Linger time.Duration
	// MaxHeld is how many connections this proxy holds at once for all Services.
	MaxHeld int
	// MaxConnections is how many it has at once for all Services, held or relayed; fewer if Descriptors are too few.
	MaxConnections int
	// Descriptors is how many this process may have open.
	Descriptors int
	// Loops are what connections belong to. They must outlast Run.
	Loops *tcp.Loops
}

// Manager serves the managed Services of a namespace.
type Manager struct {
	options Options
	log     *zap.Logger
	pods    kube.Resource[*corev1.Pod]
	watched watches
	store   *target.Store
	process string
	reach   *target.Reach
	budget  hold.Budget
	conns   hold.Budget
	metrics *metrics
	ack     *acknowledger
	kick    chan struct{}
	turns   chan struct{} // of the keepers

	announcer *announcer
	teller    *teller
	reporter  *reporter
	lateness  lateness

	keeping     context.Context // of the keepers
	stopKeeping context.CancelFunc
	keepers     sync.WaitGroup
	drains      sync.WaitGroup

	mu           sync.Mutex
	pools        pools // has its own lock
	fronts       map[types.UID]*front.Service
	names        map[types.UID]string
	gates        map[types.UID][]*gate // of each Service, those that somebody may be inside of; the last may be that of its front
	late         map[types.UID]said
	targets      map[contract.Target]*target.Keeper
	leases       map[string]*target.Keeper // the same, by the names of their Leases
	podsGone     atomic.Bool               // since the last plan
	podSelectors map[contract.Target]labels.Selector
	denied       map[contract.Target]bool // which allow has last said must not sleep
	readySince   map[types.UID]time.Time
	heard        sync.Map // when a pod was heard to be ready, by UID, until look takes it over
	seen         seen
	anew         bool // the next plan is made from nothing
	world        *index
	readings     readings
	last         Plan
	carried      map[types.UID]carried
	unfinished   map[types.UID]bool // Services whose plans have to be made and carried out again
	rechecks     *time.Timer
	lingering    []linger
	served       map[types.UID]*corev1.Service // the versions that the last plan was made from
	problems     map[types.UID]string
	closing      bool
	notReady     error
}

// Run serves until ctx ends, and then drains: it returns when the last connection has ended or time is up.
func (m *Manager) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var watching, writers sync.WaitGroup
	m.watched.start(background, &watching)
	if err := m.watched.wait(ctx); err != nil {
		return fmt.Errorf("list namespace %s: %w", m.options.Namespace, err)
	}
	writers.Go(func() { m.ack.run(background) })
	writers.Go(func() { m.announcer.run(background) })
	writers.Go(func() { m.teller.run(background) })
	writers.Go(func() { m.reporter.run(background) })
	reconciling := make(chan struct{})
	go func() { defer close(reconciling); m.loop(background) }()
	m.poke()

	<-ctx.Done()
	m.log.Info("shutting down: still accepting", zap.Duration("for", m.options.ShutdownDelay))
	err := m.drain(m.handOver(m.accepted))
	stop()
	<-reconciling
	writers.Wait()
	watching.Wait()
	return err
}

// drain closes all listeners, waits for the connections to end and gives all claims up.
func (m *Manager) drain(deadline time.Time) error {
	m.mu.Lock()
	m.closing = true
	fronts := make([]*front.Service, 0, len(m.fronts))
	for _, f := range m.fronts {
		fronts = append(fronts, f)
	}
	m.mu.Unlock()
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	errs := make([]error, len(fronts))
	for i, f := range fronts {
		m.drains.Go(func() {
			f.CloseListeners()
			errs[i] = f.Drain(ctx)
		})
	}
	m.drains.Wait()
	m.stopKeeping()
	m.keepers.Wait()
	return errors.Join(errs...)
}

// poke has the plan made and carried out anew.
func (m *Manager) poke() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

func (m *Manager) loop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.kick:
			m.reconcile()
		}
	}
}

// reconcile makes what is watched so.
func (m *Manager) reconcile() { m.adopt(m.watched.world(m.options.Namespace), time.Now()) }

// adopt makes a World so, to which it adds what this process remembers.
func (m *Manager) adopt(world World, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	plan := m.next(world, m.look(&world, now))
	m.keep(plan)
	m.serve(plan)
	m.retireKeepers(plan)
	m.recheck(world)
}

// next makes the plan of a World; of the last one it keeps what the news do not concern.
func (m *Manager) next(w World, n news) Plan {
	if n.all || m.last.Services == nil {
		m.world = w.index()
		m.last = m.world.plan()
		return m.last
	}
	m.world.update(w, n)
	m.world.replan(&m.last, n)
	return m.last
}

// Ready reports whether every listener that should be open is open; the error says what is missing.
func (m *Manager) Ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.notReady != nil {
		return m.notReady
	}
	return m.ack.written()
}
