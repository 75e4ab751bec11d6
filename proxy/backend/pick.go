package backend

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"
)

// policy chooses one of several backends, at least one, for a client. It must not allocate: it runs for every connection.
type policy func(backends []*Backend, client netip.Addr, now int64) *Backend

func (p *Pool) pick(backends []*Backend, client netip.Addr) *Backend {
	var choose policy = leastOfTwo
	if p.affinity.Load() {
		choose = rendezvous
	}
	return choose(backends, client, time.Now().UnixNano())
}

// leastOfTwo takes two backends at random and returns the one with fewer connections. That comes close to the least
// loaded of all, without the herd that a common favourite draws (Mitzenmacher, "The Power of Two Choices").
func leastOfTwo(backends []*Backend, _ netip.Addr, now int64) *Backend {
	n := len(backends)
	if n == 1 {
		return backends[0]
	}
	i := rand.IntN(n)
	j := rand.IntN(n - 1)
	if j >= i {
		j++
	}
	a, b := backends[i], backends[j]
	if a.avoided(now) && b.avoided(now) {
		for k := range n { // from i on, so that the avoided ones' load does not all fall on one neighbour
			if c := backends[(i+k)%n]; !c.avoided(now) {
				return c
			}
		}
	}
	if less(b, a, now) {
		return b
	}
	return a
}

// less reports whether a is to be preferred to b.
func less(a, b *Backend, now int64) bool {
	if x, y := a.avoided(now), b.avoided(now); x != y {
		return y
	}
	return a.inFlight.Load() < b.inFlight.Load()
}

// rendezvous returns the backend whose hash with the client's address is highest. Every proxy finds the same one, and
// a backend that comes or goes moves only the clients that are its own.
func rendezvous(backends []*Backend, client netip.Addr, now int64) *Backend {
	var best *Backend
	var bestScore uint64
	var bestAvoided bool
	key := hashAddr(netip.AddrPortFrom(client.Unmap(), 0))
	for _, b := range backends {
		score, avoided := mix(key^b.hash), b.avoided(now)
		if best == nil || (bestAvoided && !avoided) || (avoided == bestAvoided && score > bestScore) {
			best, bestScore, bestAvoided = b, score, avoided
		}
	}
	return best
}

func (b *Backend) avoided(now int64) bool { return b.avoid.Load() > now }

// hashAddr must give the same in every process: with a per-process seed two proxies would disagree.
func hashAddr(a netip.AddrPort) uint64 {
	ip := a.Addr().As16()
	h := mix(binary.BigEndian.Uint64(ip[:8]))
	h = mix(h ^ binary.BigEndian.Uint64(ip[8:]))
	return mix(h ^ uint64(a.Port()))
}

// mix is the finalizer of SplitMix64: every bit of x reaches every bit of the result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
