package services

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
)

const handOverDelay = 15 * time.Second

func aProxy(name string) *pod {
	return makePod(name, "tpa-proxy", "10.0.0.9").label(contract.SelectorKey, contract.SelectorValue)
}

// ending is a Manager that sees some objects, whose pods have been ready since epoch, and its own pod.
func ending(objects ...any) *Manager {
	w, me := worldOf(objects...), aProxy("me").obj()
	w.Pods = append(w.Pods, me)
	m := &Manager{
		options: Options{PodUID: me.UID, ShutdownDelay: handOverDelay, DrainTimeout: time.Minute}, log: zap.NewNop(),
		world: w.index(), readySince: map[types.UID]time.Time{},
	}
	for _, pod := range w.Pods {
		if isReady(pod) {
			m.readySince[pod.UID] = epoch
		}
	}
	return m
}

func TestLeads(t *testing.T) {
	for _, tt := range []struct {
		name           string
		objects        []any
		ready          time.Duration // how long the others have been ready
		leads, another bool
	}{
		{"alone", []any{active("web", 20001)}, handOverDelay, true, false},
		{"another that is ready", []any{active("web", 20001), aProxy("b")}, handOverDelay, true, true},
		{"another that is ready for a moment", []any{active("web", 20001), aProxy("b")}, handOverDelay - 1, true, false},
		{"another that is not ready", []any{active("web", 20001), aProxy("b").readiness(corev1.ConditionFalse)}, handOverDelay, true, false},
		{"a pod of the app", []any{active("web", 20001), makePod("web-1", "web", "10.0.0.1")}, handOverDelay, true, false},
		{"nothing to serve", nil, handOverDelay, false, false},
		{"a Service that the controller has stepped aside with", []any{active("web", 20001).annotate(contract.PhaseKey, string(contract.Pending))}, handOverDelay, false, false},
		{"a Service that is restored", []any{active("web", 20001).annotate(contract.PhaseKey, string(contract.Restoring))}, handOverDelay, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leads, another := ending(tt.objects...).leads(epoch.Add(tt.ready))
			if leads != tt.leads || another != tt.another {
				t.Errorf("leads %t, another %t; want %t, %t", leads, another, tt.leads, tt.another)
			}
		})
	}
}

// A proxy that ends closes its listeners once connections find another one, or none is looked for, and none has come for a while;
// and not for ever later.
func TestHandOver(t *testing.T) {
	stepAside := func(m *Manager) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.world = World{}.index()
	}
	var accepted atomic.Int64
	comes := func(*Manager) { accepted.Add(1) }
	for _, tt := range []struct {
		name    string
		objects []any
		after   time.Duration // when meanwhile happens
		while   func(*Manager)
		want    time.Duration
	}{
		{"nothing to serve", nil, 0, func(*Manager) {}, handOverDelay},
		{"another", []any{active("web", 20001), aProxy("b")}, 0, func(*Manager) {}, handOverDelay},
		{"alone", []any{active("web", 20001)}, 0, func(*Manager) {}, handOverDelay + time.Minute*3/4},
		{"another, and a node that still leads here", []any{active("web", 20001), aProxy("b")}, 12 * time.Second, comes, 12*time.Second + handOverDelay},
		{"another, and a node that always leads here", []any{active("web", 20001), aProxy("b")}, 0, func(*Manager) {
			go func() {
				for range 11 {
					accepted.Add(1)
					time.Sleep(handOverDelay / 3)
				}
			}()
		}, handOverDelay + time.Minute*3/4},
		{"alone, until the controller steps aside", []any{active("web", 20001)}, 20 * time.Second, stepAside, 20*time.Second + handOverDelay},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, began := ending(tt.objects...), time.Now()
				for uid := range m.readySince {
					m.readySince[uid] = began.Add(-time.Hour)
				}
				time.AfterFunc(tt.after, func() { tt.while(m) })
				deadline := m.handOver(accepted.Load)
				if took := time.Since(began); took < tt.want || took > tt.want+2*handOverLook {
					t.Errorf("accepting for %s, want %s", took, tt.want)
				}
				if want := began.Add(handOverDelay + time.Minute); !deadline.Equal(want) {
					t.Errorf("connections may take until %s, want %s", deadline, want)
				}
			})
		})
	}
}
