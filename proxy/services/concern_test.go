package services

import (
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func TestMatcherFindsWhatAskingEachWould(t *testing.T) {
	selectors := map[string]labels.Selector{"nil": nil, "all": labels.Everything(), "none": labels.Nothing()}
	for name, text := range map[string]string{
		"web": "app=web", "web of shop": "app=web,part-of=shop", "shop": "part-of=shop", "either": "app in (web,db)",
		"one of one": "app in (db)", "not web": "app!=web", "has tier": "tier", "no tier, shop": "!tier,part-of=shop",
	} {
		selector, err := labels.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		selectors[name] = selector
	}
	m := newMatcher(maps.All(selectors))
	if len(m.others) > len(selectors)/2 {
		t.Errorf("%d of %d selectors are asked about each pod", len(m.others), len(selectors))
	}
	for _, set := range []labels.Set{
		nil, {"app": "web"}, {"app": "web", "part-of": "shop"}, {"app": "db", "tier": "a"}, {"part-of": "shop", "tier": "a"}, {"x": "y"},
	} {
		var want []string
		for name, selector := range selectors {
			if selector != nil && selector.Matches(set) {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: set}}
		if got := slices.Compact(slices.Sorted(m.matching(pod, pod))); !slices.Equal(got, want) {
			t.Errorf("%v: %q, want %q", set, got, want)
		}
	}
}
