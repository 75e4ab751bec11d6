package load

import (
	"slices"
	"time"
)

// Latency is the distribution of some round trips' times.
type Latency struct{ P50, P99, P999 time.Duration }

// latencyOf sorts the times.
func latencyOf(times []time.Duration) Latency {
	if len(times) == 0 {
		return Latency{}
	}
	slices.Sort(times)
	at := func(q float64) time.Duration { return times[int(q*float64(len(times)-1))] }
	return Latency{P50: at(0.5), P99: at(0.99), P999: at(0.999)}
}
