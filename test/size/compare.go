package main

import (
	"fmt"
	"slices"
	"time"

	"tpa.dev/tpa/test/stat"
)

// variant is one of the ways to do the same thing.
type variant struct {
	name string
	do   func() error
}

// latency is what a variant's calls took.
type latency struct {
	Name string `json:"name"`
	// P50 and P99 are in milliseconds, each the median of the rounds.
	P50 float64 `json:"p50Ms"`
	P99 float64 `json:"p99Ms"`
	// RatioP50 and RatioP99 say how often the reference goes into it; empty for the reference itself.
	RatioP50 *stat.Spread `json:"ratioP50,omitempty"`
	RatioP99 *stat.Spread `json:"ratioP99,omitempty"`
}

// compare has variants take turns at every call, so that what else the machine does hits all alike, and relates them to
// the first one, round by round.
func compare(rounds, calls int, variants ...variant) ([]latency, error) {
	p50, p99 := make([][]float64, len(variants)), make([][]float64, len(variants))
	for range rounds {
		took := make([][]time.Duration, len(variants))
		for call := range warmUp(calls) + calls {
			for i := range variants {
				v := (call + i) % len(variants)
				begin := time.Now()
				if err := variants[v].do(); err != nil {
					return nil, fmt.Errorf("%s: %w", variants[v].name, err)
				}
				if call >= warmUp(calls) {
					took[v] = append(took[v], time.Since(begin))
				}
			}
		}
		for v := range variants {
			slices.Sort(took[v])
			p50[v] = append(p50[v], milliseconds(took[v][calls/2]))
			p99[v] = append(p99[v], milliseconds(took[v][calls*99/100]))
		}
	}
	result := make([]latency, len(variants))
	for v := range variants {
		result[v] = latency{Name: variants[v].name, P50: stat.Median(p50[v]), P99: stat.Median(p99[v])}
		if v > 0 {
			result[v].RatioP50, result[v].RatioP99 = relate(p50[v], p50[0]), relate(p99[v], p99[0])
		}
	}
	return result, nil
}

// warmUp is how many calls at the beginning of a round do not count.
func warmUp(calls int) int { return calls / 10 }

// relate is what a variant took as a multiple of what the reference took in the same round.
func relate(values, reference []float64) *stat.Spread {
	ratios := make([]float64, len(values))
	for i := range values {
		ratios[i] = values[i] / reference[i]
	}
	return new(stat.SpreadOf(ratios))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
