// Package stat holds the statistics by which the tests and benchmarks judge what they measured.
package stat

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Number is what is measured.
type Number interface{ float64 | time.Duration }

// Spread is the median of some values and their range.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func (s Spread) String() string { return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Min, s.Max) }

// Median is the middle of the values, or the mean of the middle two. There has to be one.
func Median[N Number](values []N) N {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Quantile is the smallest of the values that so large a part of them, 0 to 1, does not exceed. There has to be one.
func Quantile[N Number](values []N, part float64) N {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(part*float64(len(sorted))))-1)]
}

// SpreadOf is the spread of the values. There has to be one.
func SpreadOf(values []float64) Spread {
	return Spread{Median: Median(values), Min: slices.Min(values), Max: slices.Max(values)}
}
