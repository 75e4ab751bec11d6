package services

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/target"
)

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func worldOf(objects ...any) World {
	var w World
	for _, o := range objects {
		switch o := o.(type) {
		case *service:
			w.Services = append(w.Services, o.obj())
		case *pod:
			w.Pods = append(w.Pods, o.obj())
		}
	}
	return w
}

func TestBackendsAreTheReadyPodsOfTheOriginalSelector(t *testing.T) {
	tests := []struct {
		name   string
		target any
		pods   []any
		want   []netip.AddrPort
	}{
		{"by number", 8080, []any{makePod("a", "web", "10.0.0.1")}, addrs("10.0.0.1:8080")},
		{"by number that no container names", 9999, []any{makePod("a", "web", "10.0.0.1")}, addrs("10.0.0.1:9999")},
		{"by name", "http", []any{makePod("a", "web", "10.0.0.1")}, addrs("10.0.0.1:8080")},
		{"by a name that differs from pod to pod", "grpc", []any{
			makePod("a", "web", "10.0.0.1").named("grpc", 9000, corev1.ProtocolTCP),
			makePod("b", "web", "10.0.0.2").named("grpc", 9001, corev1.ProtocolTCP),
		}, addrs("10.0.0.1:9000", "10.0.0.2:9001")},
		{"by the name of a sidecar's port", "proxy", []any{makePod("a", "web", "10.0.0.1").sidecar("proxy", 15000)}, addrs("10.0.0.1:15000")},
		{"by a name that one pod lacks", "grpc", []any{
			makePod("a", "web", "10.0.0.1"), makePod("b", "web", "10.0.0.2").named("grpc", 9001, ""),
		}, addrs("10.0.0.2:9001")},
		{"by the name of a UDP port", "dns", []any{makePod("a", "web", "10.0.0.1").named("dns", 53, corev1.ProtocolUDP)}, nil},
		{"other labels", 8080, []any{makePod("a", "other", "10.0.0.1")}, nil},
		{"more labels", 8080, []any{makePod("a", "web", "10.0.0.1").label("tier", "x")}, addrs("10.0.0.1:8080")},
		{"not ready", 8080, []any{makePod("a", "web", "10.0.0.1").readiness(corev1.ConditionFalse)}, nil},
		{"readiness unknown", 8080, []any{makePod("a", "web", "10.0.0.1").readiness(corev1.ConditionUnknown)}, nil},
		{"terminating", 8080, []any{makePod("a", "web", "10.0.0.1").terminating()}, nil},
		{"no address yet", 8080, []any{makePod("a", "web", "")}, nil},
		{"IPv6", 8080, []any{makePod("a", "web", "2001:db8::1")}, addrs("[2001:db8::1]:8080")},
		{"in order", 8080, []any{makePod("a", "web", "10.0.0.2"), makePod("b", "web", "10.0.0.1")}, addrs("10.0.0.1:8080", "10.0.0.2:8080")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc := makeService("web").port(80, "http", tt.target, 20001).managed(contract.Active, "web")
			plan := worldOf(append(tt.pods, svc)...).Plan()
			want := []PortPlan{{Listen: 20001, Port: 80, Backends: tt.want}}
			if diff := cmp.Diff(want, plan.Services["uid-web"].Ports, compare); diff != "" {
				t.Errorf("ports (-want +got):\n%s", diff)
			}
		})
	}
}

// A pod is called in the family that its Service would call it in.
func TestBackendsAreOfTheServicesFamily(t *testing.T) {
	both := func() *pod { return makePod("a", "web", "10.0.0.1").addresses("10.0.0.1", "2001:db8::1") }
	for _, tt := range []struct {
		name     string
		families []corev1.IPFamily
		pod      *pod
		want     string
	}{
		{"IPv4", []corev1.IPFamily{"IPv4"}, both(), "10.0.0.1:8080"},
		{"IPv6", []corev1.IPFamily{"IPv6"}, both(), "[2001:db8::1]:8080"},
		{"IPv4 first", []corev1.IPFamily{"IPv4", "IPv6"}, both(), "10.0.0.1:8080"},
		{"IPv6 first", []corev1.IPFamily{"IPv6", "IPv4"}, both(), "[2001:db8::1]:8080"},
		{"IPv6 first and none", []corev1.IPFamily{"IPv6", "IPv4"}, makePod("a", "web", "10.0.0.1").addresses("10.0.0.1"), "10.0.0.1:8080"},
		{"none of it", []corev1.IPFamily{"IPv6"}, makePod("a", "web", "10.0.0.1").addresses("10.0.0.1"), "10.0.0.1:8080"},
		{"not known", nil, both(), "10.0.0.1:8080"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			svc := active("web", 20001)
			svc.svc.Spec.IPFamilies = tt.families
			w := worldOf(svc)
			w.Pods = []*corev1.Pod{StripPod(tt.pod.obj())}
			if diff := cmp.Diff(addrs(tt.want), w.Plan().Services["uid-web"].Ports[0].Backends, compare); diff != "" {
				t.Errorf("backends (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceIsServedByItsPhase(t *testing.T) {
	web2 := makePod("a", "web", "10.0.0.1")
	ports := []PortPlan{{Listen: 20001, Port: 80, Backends: addrs("10.0.0.1:8080")}}
	both := func(phase contract.Phase, target string) *service {
		return makeService("web").port(80, "http", 8080, 20001).port(443, "https", 8443, 0).managed(phase, target)
	}
	tests := []struct {
		name  string
		svc   *service
		gate  []contract.Target
		ports []PortPlan
		kept  []contract.Target // the targets that are kept
	}{
		{"Pending", both(contract.Pending, "web"), []contract.Target{web}, ports, []contract.Target{web}},
		{"Active", both(contract.Active, "web"), []contract.Target{web}, ports, []contract.Target{web}},
		{"Active on several", both(contract.Active, "web,sts/db"), []contract.Target{web, db}, ports, []contract.Target{web, db}},
		{"Restoring", both(contract.Restoring, ""), nil, ports, nil},
		{"Restoring with a target still", both(contract.Restoring, "web"), nil, ports, nil},
		{"Active, its ports broken", both(contract.Active, "web").annotate(contract.PortsKey, "80"), nil, nil, nil},
		{"Active, its original broken", both(contract.Active, "web").annotate(contract.OriginalKey, "{}"), nil, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan := worldOf(tt.svc, web2).Plan()
			got, ok := plan.Services["uid-web"]
			if !ok {
				t.Fatal("it is not served")
			}
			if diff := cmp.Diff(tt.gate, got.Gate); diff != "" {
				t.Errorf("gate (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.ports, got.Ports, compare); diff != "" {
				t.Errorf("ports (-want +got):\n%s", diff)
			}
			if broken := strings.Contains(tt.name, "broken"); broken != (got.Problem != "") {
				t.Errorf("problem %q", got.Problem)
			}
			if len(plan.Targets) != len(tt.kept) {
				t.Errorf("targets %v, want %v", plan.Targets, tt.kept)
			}
			for _, kept := range tt.kept {
				if _, ok := plan.Targets[kept]; !ok {
					t.Errorf("%v is not kept", kept)
				}
			}
		})
	}
}

func TestServiceWithABadSettingIsServedWithTheRest(t *testing.T) {
	plan := worldOf(active("web", 20001).annotate(contract.MaxHeldKey, "lots"), makePod("a", "web", "10.0.0.1")).Plan()
	got := plan.Services["uid-web"]
	if !strings.Contains(got.Problem, contract.MaxHeldKey) || len(got.Ports) != 1 || len(got.Gate) != 1 {
		t.Errorf("%+v, want served, with the problem named", got)
	}
}

func TestUnmanagedServicesAreNotServed(t *testing.T) {
	unlabelled := active("b", 20001)
	delete(unlabelled.svc.Labels, contract.ManagedLabel)
	plan := worldOf(makeService("a").port(80, "", 8080, 0), unlabelled).Plan()
	if len(plan.Services) != 0 || len(plan.Targets) != 0 {
		t.Errorf("%+v, want nothing", plan)
	}
}

func TestSettingsReachThePlan(t *testing.T) {
	w := worldOf(active("web", 20001).affinity().annotate(contract.PassivePortsKey, "http").annotate(contract.WakeReplicasKey, "4"))
	w.Defaults.IdleTimeout = time.Hour
	plan := w.Plan()
	got := plan.Services["uid-web"]
	if !got.Affinity || !got.Ports[0].Passive || got.Name != "web" || got.Settings.IdleTimeout != time.Hour {
		t.Errorf("%+v", got)
	}
	want := target.Use{IdleTimeout: time.Hour, WakeReplicas: 4}
	if diff := cmp.Diff(want, plan.Targets[web].Use); diff != "" {
		t.Errorf("use (-want +got):\n%s", diff)
	}
}

func TestOfTwoServicesThatClaimAPortTheOlderIsServed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		older    *service
		younger  *service
		reversed bool
	}{
		{"by age", active("zoo", 20001).age(time.Hour), active("ant", 20001), false},
		{"by age, listed last", active("zoo", 20001).age(time.Hour), active("ant", 20001), true},
		{"of one age, by UID", active("ant", 20001), active("zoo", 20001), false},
		{"of one age, by UID, listed last", active("ant", 20001), active("zoo", 20001), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := worldOf(tt.older, tt.younger)
			if tt.reversed {
				w = worldOf(tt.younger, tt.older)
			}
			plan := w.Plan()
			if got := plan.Services[tt.older.svc.UID].Ports; len(got) != 1 || got[0].Listen != 20001 {
				t.Errorf("the older has %+v, want 20001", got)
			}
			if got := plan.Services[tt.younger.svc.UID].Ports; len(got) != 0 {
				t.Errorf("the younger has %+v, want none", got)
			}
		})
	}
}

func TestTargetOfSeveralServicesIsKeptAsTheMostDemandingWants(t *testing.T) {
	short := active("web", 20001).annotate(contract.IdleTimeoutKey, "1m").annotate(contract.WakeReplicasKey, "5")
	long := makeService("api").selects("app", "web").port(80, "", 8080, 20002).managed(contract.Active, "web,sts/db").
		annotate(contract.IdleTimeoutKey, "2h").annotate(contract.WakeReplicasKey, "2")
	plan := worldOf(short, long).Plan()
	for of, want := range map[contract.Target]target.Use{
		web: {IdleTimeout: 2 * time.Hour, WakeReplicas: 5},
		db:  {IdleTimeout: 2 * time.Hour, WakeReplicas: 2},
	} {
		if diff := cmp.Diff(want, plan.Targets[of].Use); diff != "" {
			t.Errorf("%v (-want +got):\n%s", of, diff)
		}
	}
}

func TestTargetOfSeveralServicesHasTheMostCarefulModeAndTheLatestRequest(t *testing.T) {
	earlier, later := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 13, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		namespace     contract.Mode
		first, second string
		want          contract.Mode
	}{
		{contract.ModeSleep, "", "", contract.ModeSleep},
		{contract.ModeSleep, "observe", "", contract.ModeObserve},
		{contract.ModeSleep, "observe", "paused", contract.ModePaused},
		{contract.ModeObserve, "", "sleep", contract.ModeObserve},
		{contract.ModePaused, "sleep", "observe", contract.ModeObserve},
		{contract.ModePaused, "sleep", "sleep", contract.ModeSleep},
	} {
		first := active("web", 20001).annotate(contract.SleepRequestedKey, later.Format(time.RFC3339))
		second := makeService("api").selects("app", "web").port(80, "", 8080, 20002).managed(contract.Active, "web").
			annotate(contract.SleepRequestedKey, earlier.Format(time.RFC3339))
		if tt.first != "" {
			first.annotate(contract.ModeKey, tt.first)
		}
		if tt.second != "" {
			second.annotate(contract.ModeKey, tt.second)
		}
		w := worldOf(first, second)
		w.Defaults.Mode = tt.namespace
		tp := w.Plan().Targets[web]
		if tp.Use.Mode != tt.want || !tp.Use.SleepRequested.Equal(later) {
			t.Errorf("%+v: %+v", tt, tp.Use)
		}
		if tp.Awake != "" { // nothing is wrong: nobody is warned
			t.Errorf("%+v: %s", tt, tp.Awake)
		}
	}
}

// What does not count, because it is still to come, does not hide what does: not when its time comes either, as long as that Service
// is what it was.
func TestRequestToSleepThatIsStillToCome(t *testing.T) {
	asks := func(name string, slot int32, in time.Duration) *service {
		return makeService(name).selects("app", "web").port(80, "", 8080, slot).managed(contract.Active, "web").
			annotate(contract.SleepRequestedKey, epoch.Add(in).Format(time.RFC3339))
	}
	for _, tt := range []struct{ first, second, want time.Duration }{
		{-time.Hour, time.Hour, -time.Hour},
		{time.Hour, -time.Hour, -time.Hour},
		{30 * time.Second, -time.Hour, 30 * time.Second}, // a clock that is ahead
		{time.Hour, 30 * time.Second, 30 * time.Second},
		{2 * time.Hour, time.Hour, 2 * time.Hour}, // both in vain: for explain to say so
	} {
		w := worldOf(asks("web", 20001, tt.first), asks("api", 20002, tt.second))
		w.Readings = &readings{}
		for _, later := range []time.Duration{0, 24 * time.Hour} {
			w.Now = epoch.Add(later)
			if got := w.Plan().Targets[web].Use.SleepRequested; !got.Equal(epoch.Add(tt.want)) {
				t.Errorf("%+v, %s later: %s", tt, later, got)
			}
		}
	}
}

func TestPodsThatASleepMayBeAboutToEndAreNotDialed(t *testing.T) {
	tests := []struct {
		name  string
		view  target.View
		ready time.Duration // when the pod became ready, relative to now
		want  []netip.AddrPort
		keeps bool // the target counts it as ready
	}{
		{"awake all along", target.View{Awake: true}, -time.Hour, addrs("10.0.0.1:8080"), true},
		{"not awake", target.View{}, -time.Hour, nil, true},
		{"just woken, ready before", target.View{Awake: true, WokeAt: epoch.Add(-time.Second)}, -time.Hour, nil, false},
		{"just woken, ready since", target.View{Awake: true, WokeAt: epoch.Add(-time.Second)}, 0, addrs("10.0.0.1:8080"), true},
		{"woken a while ago", target.View{Awake: true, WokeAt: epoch.Add(-target.Doubt)}, -time.Hour, addrs("10.0.0.1:8080"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := worldOf(active("web", 20001), makePod("a", "web", "10.0.0.1"))
			w.Now, w.Views = epoch, map[contract.Target]target.View{web: tt.view}
			w.ReadySince = map[types.UID]time.Time{"uid-a": epoch.Add(tt.ready)}
			plan := w.Plan()
			if diff := cmp.Diff(tt.want, plan.Services["uid-web"].Ports[0].Backends, compare); diff != "" {
				t.Errorf("backends (-want +got):\n%s", diff)
			}
			if got := plan.Targets[web].Ready > 0; got != tt.keeps {
				t.Errorf("ready %t, want %t", got, tt.keeps)
			}
		})
	}
}
