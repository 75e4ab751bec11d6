package services

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
)

// A proxy that ends closes its listeners when connections find another one, or none is looked for.
func TestSucceeded(t *testing.T) {
	const delay = 15 * time.Second
	proxy := func(name string) *pod {
		return makePod(name, "tpa-proxy", "10.0.0.9").label(contract.SelectorKey, contract.SelectorValue)
	}
	me := proxy("me").obj()
	for _, tt := range []struct {
		name    string
		objects []any
		ready   time.Duration // how long the others have been ready
		want    bool
	}{
		{"alone", []any{active("web", 20001)}, delay, false},
		{"another that is ready", []any{active("web", 20001), proxy("b")}, delay, true},
		{"another that is ready for a moment", []any{active("web", 20001), proxy("b")}, delay - 1, false},
		{"another that is not ready", []any{active("web", 20001), proxy("b").readiness(corev1.ConditionFalse)}, delay, false},
		{"a pod of the app", []any{active("web", 20001), makePod("web-1", "web", "10.0.0.1")}, delay, false},
		{"nothing to serve", nil, delay, true},
		{"a Service that the controller has stepped aside with", []any{active("web", 20001).annotate(contract.PhaseKey, string(contract.Pending))}, delay, true},
		{"a Service that is restored", []any{active("web", 20001).annotate(contract.PhaseKey, string(contract.Restoring))}, delay, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := worldOf(tt.objects...)
			w.Pods = append(w.Pods, me)
			m := &Manager{options: Options{PodUID: me.UID, ShutdownDelay: delay}, world: w.index(), readySince: map[types.UID]time.Time{}}
			for _, pod := range w.Pods {
				if isReady(pod) {
					m.readySince[pod.UID] = epoch
				}
			}
			if got := m.succeeded(epoch.Add(tt.ready)); got != tt.want {
				t.Errorf("%t, want %t", got, tt.want)
			}
		})
	}
}
