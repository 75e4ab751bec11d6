package services

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/target"
)

// TestPodsAreFoundAsByLookingAtAll compares with a look at each pod, for selectors of every operator.
func TestPodsAreFoundAsByLookingAtAll(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	w := World{}
	for i := range 60 {
		p := makePod(fmt.Sprint(i), fmt.Sprintf("web-%d", random.IntN(4)), "10.0.0.1")
		if random.IntN(2) == 0 {
			p.label("tier", fmt.Sprint(random.IntN(3)))
		}
		if random.IntN(4) == 0 {
			p.readiness(corev1.ConditionFalse)
		}
		w.Pods = append(w.Pods, p.obj())
	}
	x := w.index()
	for _, text := range []string{
		"", "app=web-1", "app==web-2,tier=1", "app in (web-1)", "app in (web-1,web-3)", "app in (web-1,web-3),tier=0", "app notin (web-1)",
		"app!=web-2", "tier", "!tier", "app=web-0,!tier", "app=none", "tier=1,app notin (web-0)", "tier>0", "app=web-1,app=web-2",
	} {
		selector, err := labels.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var want []*corev1.Pod
		for _, pod := range w.Pods {
			if selector.Matches(labels.Set(pod.Labels)) && isReady(pod) {
				want = append(want, pod)
			}
		}
		if got := x.ready(selector); !slices.Equal(got, want) {
			t.Errorf("%q: %d pods, want %d", text, len(got), len(want))
		}
	}
}

// TestReadingsFollowTheServicesAndTheDefaults: a reading is used again only for the same version under the same defaults.
func TestReadingsFollowTheServicesAndTheDefaults(t *testing.T) {
	web := contract.Target{Resource: "deployments", Group: "apps", Name: "web"}
	w := worldOf(active("web", 20001))
	w.Readings = &readings{}
	idle := func() string { return w.Plan().Targets[web].Use.IdleTimeout.String() }
	if got := idle(); got != "10m0s" {
		t.Fatalf("idle time-out %s", got)
	}
	w.Defaults.IdleTimeout = 1e9
	if got := idle(); got != "1s" {
		t.Errorf("idle time-out %s after the default has changed to 1s", got)
	}
	w.Services[0] = active("web", 20001).annotate(contract.IdleTimeoutKey, "5s").obj()
	if got := idle(); got != "5s" {
		t.Errorf("idle time-out %s after the Service has changed to 5s", got)
	}
	if n := len(w.Readings.known); n != 1 {
		t.Errorf("%d readings are kept of 1 Service", n)
	}
}

// many is a namespace with n Services, each on a target of its own whose one pod is ready, as a plan after the first one
// finds it.
func many(n int) World {
	w := World{
		PodSelectors: map[contract.Target]labels.Selector{}, Views: map[contract.Target]target.View{}, Readings: &readings{},
	}
	for i := range n {
		name := fmt.Sprintf("web-%d", i)
		t := contract.Target{Resource: "deployments", Group: "apps", Name: name}
		w.Services = append(w.Services, active(name, int32(20000+i)).obj())
		w.Pods = append(w.Pods, makePod(name, name, fmt.Sprintf("10.0.%d.%d", i/250, i%250)).obj())
		w.PodSelectors[t] = labels.SelectorFromSet(labels.Set{"app": name})
		w.Views[t] = target.View{Awake: true}
	}
	w.Plan()
	return w
}

// TestPlanAllocatesInProportion: each change of a Service makes a whole plan.
func TestPlanAllocatesInProportion(t *testing.T) {
	const services, each = 200, 20
	w := many(services)
	if n := testing.AllocsPerRun(10, func() { w.Plan() }); n > services*each {
		t.Errorf("%.0f allocations for %d Services, at most %d for each", n, services, each)
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := many(n)
			b.ReportAllocs()
			for b.Loop() {
				w.Plan()
			}
		})
	}
}
