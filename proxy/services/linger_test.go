package services

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
)

func TestLostPortsAreThoseThatTheLaterVersionHasNot(t *testing.T) {
	ports := func(s string) *corev1.Service { return makeService("web").annotate(contract.PortsKey, s).obj() }
	for _, tt := range []struct {
		name    string
		was, is *corev1.Service
		want    bool
	}{
		{"the same", ports("80:20001"), ports("80:20001"), false},
		{"one more", ports("80:20001"), ports("80:20001,443:20002"), false},
		{"one less", ports("80:20001,443:20002"), ports("80:20001"), true},
		{"another", ports("80:20001"), ports("80:20002"), true},
		{"moved to another Service port", ports("80:20001"), ports("81:20001"), true},
		{"gone", ports("80:20001"), nil, true},
		{"gone, had none", ports(""), nil, false},
		{"broken now", ports("80:20001"), ports("80"), true},
		{"broken before", ports("80"), ports("80:20001"), false},
	} {
		if got := lostPorts(tt.was, tt.is); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

// lingerer is a Manager as far as linger needs it.
func lingerer() *Manager {
	return &Manager{options: Options{Linger: time.Minute}, kick: make(chan struct{}, 1), served: map[types.UID]*corev1.Service{}}
}

// plan is what the Manager would do about the objects now.
func (m *Manager) plan(objects ...any) Plan {
	w := worldOf(objects...)
	w.Lingering = m.linger(w, time.Now())
	return w.Plan()
}

func TestPortThatAServiceHasLostIsServedForAWhileAsItWas(t *testing.T) {
	tests := []struct {
		name        string
		before      []any
		after       []any
		during, end []PortPlan
	}{
		{
			"another slot", []any{active("web", 20001)}, []any{active("web", 20002)},
			[]PortPlan{{Listen: 20002, Port: 80, Backends: addrs("10.0.0.1:8080")}, {Listen: 20001, Port: 80, Lingers: true, Backends: addrs("10.0.0.1:8080")}},
			[]PortPlan{{Listen: 20002, Port: 80, Backends: addrs("10.0.0.1:8080")}},
		},
		{
			"unmanaged", []any{active("web", 20001)}, []any{makeService("web")},
			[]PortPlan{{Listen: 20001, Port: 80, Lingers: true, Backends: addrs("10.0.0.1:8080")}}, nil,
		},
		{
			"deleted", []any{active("web", 20001)}, nil,
			[]PortPlan{{Listen: 20001, Port: 80, Lingers: true, Backends: addrs("10.0.0.1:8080")}}, nil,
		},
		{
			"broken", []any{active("web", 20001)}, []any{active("web", 20001).annotate(contract.PortsKey, "?")},
			[]PortPlan{{Listen: 20001, Port: 80, Lingers: true, Backends: addrs("10.0.0.1:8080")}}, nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, pod := lingerer(), makePod("a", "web", "10.0.0.1")
				m.plan(append(tt.before, pod)...)
				check := func(want []PortPlan) {
					t.Helper()
					if diff := cmp.Diff(want, m.plan(append(tt.after, pod)...).Services["uid-web"].Ports, compare); diff != "" {
						t.Errorf("ports (-want +got):\n%s", diff)
					}
				}
				check(tt.during)
				time.Sleep(time.Minute - time.Millisecond)
				check(tt.during)
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if len(m.kick) != 1 {
					t.Error("nothing has the plan made anew at the end of the time")
				}
				check(tt.end)
			})
		})
	}
}

func TestPortThatAnotherServiceHasNowDoesNotLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := lingerer()
		m.plan(active("web", 20001))
		plan := m.plan(active("web", 20002), active("api", 20001))
		want := []PortPlan{{Listen: 20002, Port: 80}}
		if diff := cmp.Diff(want, plan.Services["uid-web"].Ports, compare); diff != "" {
			t.Errorf("web (-want +got):\n%s", diff)
		}
		if got := plan.Services["uid-api"].Ports; len(got) != 1 || got[0].Lingers {
			t.Errorf("api: %+v, want the port as its own", got)
		}
		time.Sleep(time.Hour)
	})
}
