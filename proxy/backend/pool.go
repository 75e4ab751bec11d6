package backend

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxConnects is how many connects may be under way to one backend. It is half of the listen queue that Go, nginx
	// and Redis ask for at least (128 to 511), as two proxies may wake the same pod.
	maxConnects = 64
	// avoidFor is how long a backend that refused is passed over while there are others. One that is silent is passed over for
	// avoidTimes as long as that attempt took: it may be on a node that was cut off, whose pods stay ready at the API server
	// for most of a minute, and each connection that tries it waits for connectTimeout.
	avoidFor   = time.Second
	avoidTimes = 5
)

// Pool is a set of backends. The zero value is an empty one.
type Pool struct {
	// OnFailure, if set before the first use, is called for each attempt to connect that has failed. Default none.
	OnFailure func(error)

	mu       sync.Mutex // one Set at a time, and init
	current  atomic.Pointer[set]
	affinity atomic.Bool
}

// set is a snapshot, never changed after it was published.
type set struct {
	backends []*Backend
	changed  chan struct{} // closed when a newer set exists
}

// Backend is one address and what is known of it.
type Backend struct {
	addr     netip.AddrPort
	hash     uint64
	connects chan struct{} // a token for each connect under way
	inFlight atomic.Int64  // connections, and connects under way
	avoid    atomic.Int64  // until then, Unix nanoseconds
}

// avoidance is for how long a backend is passed over after an attempt that took some time.
func avoidance(took time.Duration) time.Duration { return max(avoidFor, avoidTimes*took) }

// Set replaces the backends. Those that stay keep their counts; connections to those that go are left alone.
// The order and repetitions in addrs do not matter.
func (p *Pool) Set(addrs []netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.load()
	next := &set{changed: make(chan struct{})}
	for _, addr := range sortedSet(addrs) {
		next.backends = append(next.backends, old.findOrNew(addr))
	}
	if slices.Equal(old.backends, next.backends) {
		return
	}
	p.current.Store(next)
	close(old.changed)
}

// SetAffinity makes Dial send a client's connections to the same backend as long as the set allows.
func (p *Pool) SetAffinity(on bool) { p.affinity.Store(on) }

// Len returns the number of backends.
func (p *Pool) Len() int { return len(p.load().backends) }

// Addrs returns the backends, sorted.
func (p *Pool) Addrs() []netip.AddrPort {
	s := p.load()
	addrs := make([]netip.AddrPort, len(s.backends))
	for i, b := range s.backends {
		addrs[i] = b.addr
	}
	return addrs
}

// load returns the current set; a zero Pool gets its empty one here.
func (p *Pool) load() *set {
	if s := p.current.Load(); s != nil {
		return s
	}
	p.current.CompareAndSwap(nil, &set{changed: make(chan struct{})})
	return p.current.Load()
}

func (s *set) findOrNew(addr netip.AddrPort) *Backend {
	i, found := slices.BinarySearchFunc(s.backends, addr, func(b *Backend, a netip.AddrPort) int { return b.addr.Compare(a) })
	if found {
		return s.backends[i]
	}
	return &Backend{addr: addr, hash: hashAddr(addr), connects: make(chan struct{}, maxConnects)}
}

func sortedSet(addrs []netip.AddrPort) []netip.AddrPort {
	out := make([]netip.AddrPort, 0, len(addrs))
	for _, a := range addrs {
		out = append(out, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return slices.Compact(out)
}
