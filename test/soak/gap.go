package main

import (
	"math"
	"math/rand/v2"
	"time"

	"tpa.dev/tpa/proxy/sleep"
)

// schedule draws when clients come. The same seed draws the same, whatever becomes of the connections.
type schedule struct{ r *rand.Rand }

// newSchedule is the schedule of the n-th group of Services.
func newSchedule(seed, n uint64) schedule { return schedule{rand.New(rand.NewPCG(seed, n))} }

// gap is how long nobody uses a target, from the end of its last connection on. Most gaps end within some 10 ms of the
// instant at which the decision to sleep is due: right before it, while it is written, and right after it. Others end
// when the claim is given up, while the pods still go, or at any other time.
func (s schedule) gap(idle time.Duration) time.Duration {
	switch p := s.r.Float64(); {
	case p < 0.70:
		// The decision takes some 30 ms: read the scale, write the Lease, write the scale, write the Lease.
		return idle + 25*time.Millisecond + s.near(25*time.Millisecond)
	case p < 0.75:
		return sleep.Quiet(idle) + s.near(10*time.Millisecond)
	case p < 0.80:
		return s.upTo(idle)
	}
	return idle + s.upTo(time.Second)
}

// near is 0 give or take: of a Laplace distribution, which is densest at 0, with the given mean distance.
func (s schedule) near(mean time.Duration) time.Duration {
	u := s.r.Float64() - 0.5
	d := -math.Log(1-2*math.Abs(u)) * float64(mean)
	return time.Duration(math.Copysign(min(d, 20*float64(mean)), u))
}

func (s schedule) upTo(d time.Duration) time.Duration { return time.Duration(s.r.Int64N(int64(d))) }

// visit is one connection of a burst.
type visit struct {
	service int           // index within the group
	node    int           // index of the node that it comes from
	after   time.Duration // since the burst began
	pauses  []time.Duration
}

// burst draws the connections that come together: the first at once, others within the time that a decision takes, from
// any node to any Service of the group.
func (s schedule) burst(services, nodes int, idle time.Duration) []visit {
	visits := make([]visit, 1+s.r.IntN(4))
	for i := range visits {
		v := visit{service: s.r.IntN(services), node: s.r.IntN(nodes)}
		if i > 0 {
			v.after = s.upTo(60 * time.Millisecond)
		}
		for range s.r.IntN(4) {
			v.pauses = append(v.pauses, s.upTo(200*time.Millisecond))
		}
		// An open connection keeps its target awake, however silent it is.
		if s.r.Float64() < 0.02 {
			v.pauses = append(v.pauses, idle+s.near(50*time.Millisecond))
		}
		visits[i] = v
	}
	return visits
}
