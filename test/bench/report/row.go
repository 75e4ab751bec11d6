package report

import (
	"cmp"
	"slices"
	"strings"

	"tpa.dev/tpa/test/stat"
)

// row has no value if the arm has no round with all that the figure needs.
func (r *Report) row(place Place, target Target, arm string) (Row, bool) {
	if arm == target.Against {
		return Row{}, false
	}
	var figures []float64
	for _, round := range r.rounds(place) {
		if figure, ok := r.figure(place, target, arm, round); ok {
			figures = append(figures, figure)
		}
	}
	if len(figures) == 0 {
		return Row{}, false
	}
	row := Row{Place: place, Arm: arm, Target: target, Spread: stat.SpreadOf(figures), Rounds: len(figures)}
	if isTPA(arm) {
		row.Verdict = target.judge(row.Median)
	}
	return row, true
}

// figure is the target's value in one round.
func (r *Report) figure(place Place, target Target, arm string, round int) (float64, bool) {
	own, ok := r.quotient(place, target, arm, round)
	if !ok || target.Against == "" {
		return own, ok
	}
	reference, ok := r.quotient(place, target, target.Against, round)
	return own / reference, ok && reference > 0
}

func (r *Report) quotient(place Place, target Target, arm string, round int) (float64, bool) {
	value, ok := r.byKey[key{place, arm, target.Metric, round}]
	if !ok || target.Per == "" {
		return value, ok
	}
	per, ok := r.byKey[key{place, arm, target.Per, round}]
	return value / per, ok && per > 0
}

// values are those of a metric over the rounds.
func (r *Report) values(place Place, arm, metric string) []float64 {
	var values []float64
	for _, round := range r.rounds(place) {
		if value, ok := r.byKey[key{place, arm, metric, round}]; ok {
			values = append(values, value)
		}
	}
	return values
}

func (r *Report) places() []Place {
	seen := distinct(r.Samples, func(s Sample) (Place, bool) { return Place{s.Link, s.CPUs}, true })
	slices.SortFunc(seen, func(a, b Place) int { return cmp.Or(cmp.Compare(a.Link, b.Link), a.CPUs-b.CPUs) })
	return seen
}

// arms are in the order of the constants, then TPA's variants.
func (r *Report) arms(place Place) []string {
	order := []string{Direct, HAProxy, HAProxyTuned, Nginx, TPA}
	seen := distinct(r.Samples, func(s Sample) (string, bool) { return s.Arm, place == Place{s.Link, s.CPUs} })
	rank := func(arm string) int {
		if i := slices.Index(order, arm); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortFunc(seen, func(a, b string) int { return cmp.Or(rank(a)-rank(b), cmp.Compare(a, b)) })
	return seen
}

func (r *Report) rounds(place Place) []int {
	seen := distinct(r.Samples, func(s Sample) (int, bool) { return s.Round, place == Place{s.Link, s.CPUs} })
	slices.Sort(seen)
	return seen
}

// distinct are the different values that get picks.
func distinct[T comparable](samples []Sample, get func(Sample) (T, bool)) []T {
	var seen []T
	for _, s := range samples {
		if value, ok := get(s); ok && !slices.Contains(seen, value) {
			seen = append(seen, value)
		}
	}
	return seen
}

func isTPA(arm string) bool { return arm == TPA || strings.HasPrefix(arm, TPA+"-") }
