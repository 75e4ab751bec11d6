package backend

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestSpread plays connections that come and go at random, some to a backend where they last ten times as long, and
// compares how unevenly a choice by one proxy's own counts loads the backends: the most loaded one's mean number of
// connections over that of all. HAProxy's leastconn is what TPA's choice is measured against. The lesser of two random
// choices is here to show why it is not TPA's.
func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		backends, proxies int
		offered           float64 // connections open at a time, if no backend were slow
	}{
		{8, 1, 8}, {8, 1, 40}, {8, 1, 200}, {8, 1, 800},
		{8, 2, 8}, {8, 2, 40}, {8, 2, 200},
		{32, 1, 40}, {32, 1, 200}, {32, 2, 200},
	} {
		t.Run(fmt.Sprintf("backends=%d/proxies=%d/offered=%g", tc.backends, tc.proxies, tc.offered), func(t *testing.T) {
			unevenness := func(c choice) float64 {
				return play(c, tc.backends, tc.proxies, tc.offered, rand.New(rand.NewPCG(4, 10)))
			}
			haproxy, least, two := unevenness(leastconn), unevenness(scan), unevenness(twoChoices)
			t.Logf("most loaded ÷ mean: HAProxy's leastconn %.3f; TPA %.3f, %.3f of it; two choices %.3f, %.3f of it",
				haproxy, least, least/haproxy, two, two/haproxy)
			if least > 1.05*haproxy {
				t.Errorf("most loaded ÷ mean is %.3f, more than 1.05 times leastconn's %.3f", least, haproxy)
			}
			if two < least {
				t.Errorf("two choices spread better, %.3f to %.3f: they would be the cheaper choice", two, least)
			}
		})
	}
}

// choice picks one of a proxy's backends.
type choice func(*proxy, *rand.Rand) int

// proxy is what one proxy knows.
type proxy struct {
	backends []*Backend
	moved    []int // for each backend, when its number of connections changed last
}

func scan(p *proxy, r *rand.Rand) int {
	b := leastLoaded(p.backends, r.IntN(len(p.backends)), now)
	for i := range p.backends {
		if p.backends[i] == b {
			return i
		}
	}
	panic("a backend that is none of the proxy's")
}

func twoChoices(p *proxy, r *rand.Rand) int {
	i, j := r.IntN(len(p.backends)), r.IntN(len(p.backends)-1)
	if j >= i {
		j++
	}
	if p.connections(j) < p.connections(i) {
		return j
	}
	return i
}

// leastconn keeps the backends in a tree by connections, and appends one that moves to its equals.
func leastconn(p *proxy, _ *rand.Rand) int {
	best := 0
	for i := range p.backends {
		if n, least := p.connections(i), p.connections(best); n < least || n == least && p.moved[i] < p.moved[best] {
			best = i
		}
	}
	return best
}

func (p *proxy) connections(i int) int64 { return p.backends[i].inFlight.Load() }

// play lets proxies with the same backends take 40,000 connections, and returns the most loaded backend's mean number
// of connections over the mean of all. Arrivals are Poisson's, connections last 1 on average, and 10 at the first backend.
func play(pick choice, backendCount, proxyCount int, offered float64, r *rand.Rand) float64 {
	const arrivals, warmUp = 40_000, 4_000
	proxies := make([]*proxy, proxyCount)
	for i := range proxies {
		proxies[i] = &proxy{backends: backends(make([]int64, backendCount)...), moved: make([]int, backendCount)}
	}
	var open endings
	var clock float64
	total, area := make([]float64, backendCount), make([]float64, backendCount)
	step := 0
	move := func(p *proxy, i int, by int64) {
		p.backends[i].inFlight.Add(by)
		total[i] += float64(by)
		step++
		p.moved[i] = step
	}
	pass := func(until float64, counts bool) {
		for i := range area {
			if counts {
				area[i] += total[i] * (until - clock)
			}
		}
		clock = until
	}
	for n := range arrivals {
		next := clock + r.ExpFloat64()/offered
		for len(open) > 0 && open[0].at < next {
			e := heap.Pop(&open).(ending)
			pass(e.at, n > warmUp)
			move(e.proxy, e.backend, -1)
		}
		pass(next, n > warmUp)
		p := proxies[r.IntN(len(proxies))]
		i := pick(p, r)
		move(p, i, 1)
		lasts := r.ExpFloat64()
		if i == 0 {
			lasts *= 10
		}
		heap.Push(&open, ending{clock + lasts, p, i})
	}
	most, sum := 0.0, 0.0
	for _, a := range area {
		most, sum = math.Max(most, a), sum+a
	}
	return most / (sum / float64(backendCount))
}

// ending is when a connection ends.
type ending struct {
	at      float64
	proxy   *proxy
	backend int
}

type endings []ending

func (e endings) Len() int           { return len(e) }
func (e endings) Less(i, j int) bool { return e[i].at < e[j].at }
func (e endings) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *endings) Push(x any)        { *e = append(*e, x.(ending)) }
func (e *endings) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}
