package services

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// matcher finds those of many selectors that match a pod without asking each of them.
type matcher[K comparable] struct {
	// by holds each selector under the rarest of the labels that it asks for.
	by map[label][]selected[K]
	// others ask for no label in particular.
	others []selected[K]
}

type selected[K comparable] struct {
	key      K
	selector labels.Selector
}

// newMatcher returns one of selectors, by what they belong to; those that are nil match nothing.
func newMatcher[K comparable](selectors iter.Seq2[K, labels.Selector]) matcher[K] {
	common := map[label]int{}
	for _, selector := range selectors {
		for l := range required(selector) {
			common[l]++
		}
	}
	m := matcher[K]{by: make(map[label][]selected[K], len(common))}
	for key, selector := range selectors {
		if selector == nil {
			continue
		}
		s, rarest, found := selected[K]{key, selector}, label{}, false
		for l := range required(selector) {
			if !found || common[l] < common[rarest] {
				rarest, found = l, true
			}
		}
		if found {
			m.by[rarest] = append(m.by[rarest], s)
		} else {
			m.others = append(m.others, s)
		}
	}
	return m
}

// matching returns what the selectors belong to that match one of the pods, some perhaps more than once.
func (m matcher[K]) matching(pods ...*corev1.Pod) iter.Seq[K] {
	return func(yield func(K) bool) {
		for _, pod := range pods {
			set := labels.Set(pod.Labels)
			all := func(some []selected[K]) bool {
				for _, s := range some {
					if s.selector.Matches(set) && !yield(s.key) {
						return false
					}
				}
				return true
			}
			if !all(m.others) {
				return
			}
			for key, value := range set {
				if !all(m.by[label{key, value}]) {
					return
				}
			}
		}
	}
}

// required returns the labels that every pod has that a selector matches, as far as it names them one by one.
func required(selector labels.Selector) iter.Seq[label] {
	return func(yield func(label) bool) {
		if selector == nil {
			return
		}
		requirements, _ := selector.Requirements()
		for _, r := range requirements {
			switch r.Operator() {
			case selection.Equals, selection.DoubleEquals, selection.In:
				if values := r.ValuesUnsorted(); len(values) == 1 && !yield(label{r.Key(), values[0]}) {
					return
				}
			}
		}
	}
}
