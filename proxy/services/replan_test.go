package services

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"tpa.dev/tpa/proxy/target"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// resting returns a whole Manager whose keepers wait for a turn for ever: their targets change when a Lease is observed.
func resting(tb testing.TB) *Manager {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	tb.Cleanup(server.Close)
	m, err := New(&rest.Config{Host: server.URL}, Options{
		Namespace: namespace, Pod: "a", PodUID: "u", Loops: tcptest.Loops(tb, 1), MaxHeld: 1, MaxConnections: 1, Descriptors: 10_000,
		Linger: 100 * time.Millisecond, DrainTimeout: time.Second,
	}, zap.NewNop())
	if err != nil {
		tb.Fatal(err)
	}
	for range turns {
		m.turns <- struct{}{}
	}
	tb.Cleanup(func() {
		m.adopt(World{}, time.Now())
		m.adopt(World{}, time.Now().Add(24*time.Hour)) // nothing lingers any more
		m.stopKeeping()
		m.keepers.Wait()
		m.drains.Wait()
	})
	return m
}

// TestPlanOfChangesIsThatFromNothing: what is kept of the last plan is what a plan from nothing says, and what is not carried
// out again is what was carried out.
func TestPlanOfChangesIsThatFromNothing(t *testing.T) {
	const rounds, steps = 20, 150 // the keepers' time goes on as it does, and the plans' is ahead of it a little more each round
	kept := 0
	for round := range uint64(rounds) {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			c := &changing{
				Rand: rand.New(rand.NewPCG(round, 1)), m: resting(t), services: map[string]*corev1.Service{}, pods: map[string]*corev1.Pod{},
				now: time.Now(), since: map[types.UID]time.Time{}, told: map[types.UID]time.Time{},
			}
			for step := range steps {
				for range 1 + c.IntN(3) {
					c.change()
				}
				if kept += c.checkPlan(t); t.Failed() {
					t.Fatalf("in step %d", step)
				}
			}
		})
	}
	if kept < rounds*steps/4 {
		t.Errorf("in %d plans, %d parts were kept of the last: this test shows little", rounds*steps, kept)
	}
}

// checkPlan has a plan made and carried out, and returns how many parts of it are those of the last.
func (c *changing) checkPlan(t *testing.T) (kept int) {
	t.Helper()
	m := c.m
	m.mu.Lock()
	before, unfinished, keepers := m.last, maps.Clone(m.unfinished), maps.Clone(m.targets)
	before.Services, before.Targets = maps.Clone(before.Services), maps.Clone(before.Targets)
	m.mu.Unlock()
	m.adopt(c.world(), c.now)
	m.mu.Lock()
	defer m.mu.Unlock()
	if diff := cmp.Diff(c.readySince(), m.readySince); diff != "" {
		t.Errorf("ready since (-want +got):\n%s", diff)
	}
	for of, k := range keepers {
		if v, ok := m.world.Views[of]; ok && m.targets[of] == k && v != k.View() {
			t.Errorf("%s: planned for %+v, is %+v", of, v, k.View())
		}
	}
	all := m.last
	all.Changed = nil
	if !m.anew { // what the plan was made from is as it was
		fresh := m.world.World
		fresh.Readings = nil
		x := fresh.index()
		if diff := cmp.Diff(x.plan(), all, compare); diff != "" {
			t.Errorf("plan (-from nothing +from the last):\n%s", diff)
		}
		if len(x.pods) != len(m.world.pods) || len(x.rivals) != len(m.world.rivals) {
			t.Errorf("%d labels and %d rivals, want %d and %d", len(m.world.pods), len(m.world.rivals), len(x.pods), len(x.rivals))
		}
	}
	if m.last.Changed != nil {
		kept = checkKept(t, before, m.last, unfinished)
	}
	if len(m.unfinished) == 0 && c.once(5) { // a port may be free in a moment
		wanted, missing := m.ack.wanted, m.notReady
		m.serve(all)
		if m.ack.wanted != wanted || (m.notReady == nil) != (missing == nil) {
			t.Errorf("acknowledged %s, not ready: %v; when carried out as a whole %s, %v", wanted, missing, m.ack.wanted, m.notReady)
		}
	}
	return kept
}

// checkKept checks those parts of a plan that are not carried out again, and returns how many there are.
func checkKept(t *testing.T, before, after Plan, unfinished map[types.UID]bool) (n int) {
	t.Helper()
	for uid, sp := range after.Services {
		if after.Changed.services[uid] {
			continue
		}
		n++
		if diff := cmp.Diff(before.Services[uid], sp, compare); diff != "" || unfinished[uid] {
			t.Errorf("Service %s is not served again, unfinished %t (-last +now):\n%s", uid, unfinished[uid], diff)
		}
		for _, of := range sp.Gate {
			if before.Dozes[of] != after.Dozes[of] {
				t.Errorf("Service %s is not served again, and %s has left Awake", uid, of)
			}
		}
	}
	for of, tp := range after.Targets {
		if after.Changed.targets[of] {
			continue
		}
		n++
		if diff := cmp.Diff(before.Targets[of], tp, compare); diff != "" {
			t.Errorf("%s is not kept again (-last +now):\n%s", of, diff)
		}
	}
	return n
}

func TestUnsettledIsWhatChangesAsTimeGoesOn(t *testing.T) {
	for _, tt := range []struct {
		name string
		view target.View
		want bool
	}{
		{"awake since long", target.View{Awake: true}, false},
		{"woken a moment ago", target.View{Awake: true, WokeAt: epoch.Add(1 - target.Doubt)}, true},
		{"woken before, as the last plan knew", target.View{Awake: true, WokeAt: epoch.Add(-target.Doubt)}, false},
		{"missing", target.View{Awake: true, MissingSince: epoch.Add(-time.Hour)}, true},
	} {
		if got := unsettled(tt.view, epoch); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

// TestChangeOfAPodAllocatesForOneService: a wake waits for it.
func TestChangeOfAPodAllocatesForOneService(t *testing.T) {
	const services = 200
	m, w := resting(t), many(services)
	m.podSelectors = w.PodSelectors
	m.adopt(w, time.Now())
	n := testing.AllocsPerRun(10, func() {
		w.Pods[0] = w.Pods[0].DeepCopy()
		m.adopt(w, time.Now())
	})
	if n >= services {
		t.Errorf("%.0f allocations among %d Services", n, services)
	}
}

// BenchmarkAdopt is what a change of one Pod costs among a thousand Services.
func BenchmarkAdopt(b *testing.B) {
	m, w := resting(b), many(1000)
	m.podSelectors = w.PodSelectors
	m.adopt(w, time.Now())
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		pod := &w.Pods[i%len(w.Pods)]
		*pod = (*pod).DeepCopy()
		m.adopt(w, time.Now())
	}
}
