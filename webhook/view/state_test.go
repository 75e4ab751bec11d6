package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

func TestStateOfATarget(t *testing.T) {
	up, down, hidden := Scale{Known: true, Replicas: 2}, Scale{Known: true}, Scale{}
	awake, inUse := sleep.State{Phase: sleep.Awake}, sleep.State{Phase: sleep.Awake, Claims: claims("a")}
	asleep, sleeping := sleep.State{Phase: sleep.Asleep}, sleep.State{Phase: sleep.Sleeping}
	for _, tt := range []struct {
		name  string
		scale Scale
		state sleep.State
		ready int32
		want  State
	}{
		{"awake", up, awake, 1, Awake},
		{"awake, pods hidden", up, awake, -1, Awake},
		{"awake, scale hidden", hidden, awake, 1, Awake},
		{"awake, no pod ready", up, awake, 0, Waking},
		{"in use, about to be scaled up", down, inUse, 0, Waking},
		{"scaled to 0 by hand", down, awake, 0, Asleep},
		{"sleeping", up, sleeping, 2, Sleeping},
		{"sleeping, at 0 already", down, sleeping, 0, Sleeping},
		{"asleep", down, asleep, 0, Asleep},
		{"asleep, a pod still ends", down, asleep, 1, Asleep},
		{"asleep, scale hidden", hidden, asleep, 0, Asleep},
		{"scaled up by hand while asleep", up, asleep, 0, Waking},
		{"and a pod is there", up, asleep, 1, Awake},
		{"missing", Scale{Missing: true}, awake, 0, Missing},
		{"missing with pods", Scale{Missing: true}, inUse, 2, Missing},
	} {
		if got := stateOf(tt.scale, tt.state, true, tt.ready); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := stateOf(up, sleep.State{}, false, 1); got != Unknown {
		t.Errorf("without a Lease: %s", got)
	}
}

func TestStateOfSeveralTargets(t *testing.T) {
	for _, tt := range []struct {
		states []State
		want   State
	}{
		{nil, Unknown},
		{[]State{Awake}, Awake},
		{[]State{Awake, Awake}, Awake},
		{[]State{Asleep, Asleep}, Asleep},
		{[]State{Asleep, Awake}, PartlyAsleep},
		{[]State{Asleep, Waking}, Waking},
		{[]State{Waking, Sleeping}, Sleeping},
		{[]State{Awake, Unknown}, Unknown},
		{[]State{Unknown, Missing}, Missing},
	} {
		var targets []Target
		for _, s := range tt.states {
			targets = append(targets, Target{State: s})
		}
		if got := together(targets); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.states, got, tt.want)
		}
	}
}

// TestNothingMayBeRead: who may read Services alone is shown that much, and no error.
func TestNothingMayBeRead(t *testing.T) {
	n := everything().Namespace
	n.Pods, n.Leases, n.Meta, n.Proxy, n.ProxyKnown, n.Events = nil, nil, nil, nil, false, nil
	n.Scales = map[contract.Target]Scale{deployment("web"): {}}
	s, found := Find(n.List(), "web")
	if !found || s.State != Unknown || s.readyText() != unknown || s.connectionsText() != unknown || s.idleText() != unknown ||
		s.sleepsText() != none || s.wakesText() != none || s.proxiesText() != unknown || s.Reason != "" {
		t.Errorf("%+v", s)
	}
	e, _ := n.Explain("web")
	if len(e.Unread) != 6 {
		t.Errorf("not read: %v, want six", e.Unread)
	}
}

// TestOlderProxies: proxies that say nothing of connections are no error, either.
func TestOlderProxies(t *testing.T) {
	w := shop().app("web", 1, 1).service("web", contract.Active, contract.TargetKey, "web")
	w.state("web", sleep.State{Phase: sleep.Awake, Since: ago(time.Hour), Claims: claims("tpa-proxy-a")}, nil)
	e, _ := w.Explain("web")
	if e.connectionsText() != unknown || e.wakesText() != none || e.sleepsText() != none || len(e.Why) != 2 {
		t.Errorf("%+v", e)
	}
}

func TestWhatIsNew(t *testing.T) {
	at := func(change func(world)) Service {
		w := everything()
		if change != nil {
			change(w)
		}
		s, _ := Find(w.List(), "api")
		return s
	}
	if !at(nil).Same(at(func(w world) { w.Now = noon.Add(time.Minute) })) {
		t.Error("a minute later is news")
	}
	for what, change := range map[string]func(world){
		"replicas":    func(w world) { w.Scales[deployment("api")] = Scale{Known: true, Replicas: 2} },
		"a pod":       func(w world) { w.pod("api-1", map[string]string{"app": "api"}, true) },
		"connections": func(w world) { w.usage("tpa-proxy-b", map[string]contract.ServiceUsage{"api": {Open: 1}}) },
		"proxies":     func(w world) { w.Proxy.Status.ReadyReplicas = 1 },
		"a rival":     func(w world) { w.service("rival", ""); w.Services[len(w.Services)-1].Spec.Selector["app"] = "api" },
	} {
		if at(nil).Same(at(change)) {
			t.Errorf("%s: no news", what)
		}
	}
}

func TestModes(t *testing.T) {
	of := func(mode, namespace, other string) Service {
		w := shop().app("web", 1, 1).service("web", contract.Active, contract.TargetKey, "web")
		w.state("web", sleep.State{Phase: sleep.Awake, Since: ago(time.Minute)}, nil)
		w.service("api", contract.Active, contract.TargetKey, "web")
		w.Services[1].Annotations[contract.OriginalKey] = w.Services[0].Annotations[contract.OriginalKey]
		for i, m := range []string{mode, other} {
			if m != "" {
				w.Services[i].Annotations[contract.ModeKey] = m
			}
		}
		if namespace != "" {
			w.Meta.Annotations = map[string]string{contract.ModeKey: namespace}
		}
		e, _ := w.Explain("web")
		if paused := strings.Contains(strings.Join(e.Why, " "), "kubectl tpa resume"); paused != (e.Mode == contract.ModePaused) {
			t.Errorf("%s: %v", e.Mode, e.Why)
		}
		return e.Service
	}
	for _, tt := range []struct{ mode, namespace, other, sleepsIn string }{
		{"", "", "", "9m"},
		{"observe", "", "", "observed"},
		{"paused", "", "", "paused"},
		{"", "observe", "", "observed"},
		{"", "paused", "sleep", "paused"},
		{"sleep", "paused", "sleep", "9m"},
		{"observe", "", "paused", "paused"},
	} {
		if got := of(tt.mode, tt.namespace, tt.other); got.sleepsText() != tt.sleepsIn {
			t.Errorf("%+v: %s", tt, got.sleepsText())
		}
	}
}

// TestModeOfTheNamespace: what the proxies know of it counts, and who may not read the Namespace sees it, too.
func TestModeOfTheNamespace(t *testing.T) {
	for _, tt := range []struct {
		name, written, known string
		hidden               bool
		want                 contract.Mode
	}{
		{name: "none"},
		{name: "written, and not yet brought to the proxies", written: "observe", want: contract.ModeObserve},
		{name: "known", written: "observe", known: "observe", want: contract.ModeObserve},
		{name: "another one is known yet", written: "observe", known: "paused", want: contract.ModePaused},
		{name: "hidden", written: "paused", known: "paused", hidden: true, want: contract.ModePaused},
	} {
		w := shop().app("web", 1, 1).service("web", contract.Active, contract.TargetKey, "web").state("web", sleep.State{Phase: sleep.Awake}, nil)
		w.Meta.Annotations = map[string]string{contract.ModeKey: tt.written}
		if tt.written == "" {
			w.Meta.Annotations = nil
		}
		if tt.known != "" {
			lease := &coordinationv1.Lease{}
			lease.Name, lease.Labels = contract.ProxyName, map[string]string{contract.LeaseLabel: contract.LeaseDefaults}
			lease.Annotations = map[string]string{contract.ModeKey: tt.known}
			w.Leases = append(w.Leases, lease)
		}
		if tt.hidden {
			w.Meta = nil
		}
		if got := w.List()[0].Mode; got != tt.want || w.Mode() != tt.want {
			t.Errorf("%s: %s, of the namespace %s, want %s", tt.name, got, w.Mode(), tt.want)
		}
	}
}

// What is observed would be asleep only if nothing else keeps it awake.
func TestWhatWouldBeAsleep(t *testing.T) {
	awake := sleep.State{Phase: sleep.Awake, Since: ago(time.Hour)}
	with := func(change func(*sleep.State)) sleep.State {
		s := awake
		change(&s)
		return s
	}
	for _, tt := range []struct {
		name   string
		s      sleep.State
		change func(world)
		want   string
	}{
		{"unused for long", awake, nil, "Awake (observed: asleep 50m)"},
		{"unused for a while", with(func(s *sleep.State) { s.Used = ago(time.Minute) }), nil, "Awake"},
		{"in use", with(func(s *sleep.State) { s.Claims = claims("tpa-proxy-a") }), nil, "Awake"},
		{"settling", with(func(s *sleep.State) { s.NotBefore = noon.Add(time.Minute) }), nil, "Awake"},
		{"blocked", awake, func(w world) {
			w.service("rival", "")
			w.Services[len(w.Services)-1].Spec.Selector["app"] = "web"
		}, "Awake"},
		{"its target is paused by another", awake, func(w world) {
			w.service("api", contract.Active, contract.TargetKey, "web", contract.ModeKey, "paused")
			w.Services[1].Annotations[contract.OriginalKey] = w.Services[0].Annotations[contract.OriginalKey]
		}, "Awake"},
		{"not observed", awake, func(w world) { delete(w.Services[0].Annotations, contract.ModeKey) }, "Awake"},
		{"asleep all the same", sleep.State{Phase: sleep.Asleep, Since: ago(time.Hour)}, func(w world) { w.app("web", 0, 0) }, "Asleep"},
	} {
		w := shop().app("web", 1, 1).service("web", contract.Active, contract.TargetKey, "web", contract.ModeKey, "observe").state("web", tt.s, nil)
		if tt.change != nil {
			tt.change(w)
		}
		e, _ := w.Explain("web")
		if got := e.stateText(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if would := e.History != nil && e.History.Observed.Sleeps == 1; would != (tt.want != "Awake" && tt.want != "Asleep") {
			t.Errorf("%s: %+v", tt.name, e.History)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		name string
		w    world
		want string
	}{
		{"the namespace is not opted in", func() world {
			w := shop().service("web", "", contract.TargetKey, "web")
			w.Meta.Labels = nil
			return w
		}(), "namespace shop is not opted in"},
		{"nobody has looked at it", shop().service("web", "", contract.TargetKey, "web"), "TPA has not taken the Service over"},
		{"no annotation", shop().service("web", ""), "the Service has no annotation tpa.dev/target"},
		{"no Deployment", func() world {
			w := shop().service("web", contract.Pending, contract.TargetKey, "web")
			w.Proxy = nil
			return w
		}(), "there is no Deployment tpa-proxy in namespace shop"},
		{"no proxy", func() world {
			w := shop().service("web", contract.Active, contract.TargetKey, "web")
			w.Proxy.Status.ReadyReplicas = 0
			w.Pods = nil
			return w.pod("tpa-proxy-a", contract.ProxySelector(), false)
		}(), "no proxy of the namespace is ready (not ready yet): nothing wakes and nothing sleeps until one is ready"},
		{"stepped aside", shop().service("web", contract.Pending, contract.TargetKey, "web").
			event("Service", "web", "SteppedAside", "no proxy is ready", ago(time.Minute)), "no proxy is ready"},
		{"no ports", shop().service("web", contract.Pending, contract.TargetKey, "web", contract.PortsKey, ""),
			"the controller has not given each of its ports a port of the proxies yet"},
		{"no right", func() world {
			w := shop().app("web", 1, 1).service("web", contract.Active, contract.TargetKey, "web").state("web", sleep.State{Phase: sleep.Awake}, nil)
			w.ProxyMayScale = map[contract.Target]bool{deployment("web"): false}
			return w
		}(), "the proxies may not scale deployment/web, so that it neither sleeps nor wakes"},
		{"no Lease", shop().app("web", 1, 1).service("web", contract.Active, contract.TargetKey, "web"),
			"the proxies have not said yet how deployment/web stands (Lease tpa-deployments-web)"},
		{"a bad value", shop().app("web", 1, 1).state("web", sleep.State{Phase: sleep.Awake}, nil).
			service("web", contract.Active, contract.TargetKey, "web", contract.MaxHeldKey, "0"),
			`tpa.dev/max-held: "0" is not accepted: write a whole number from 1 to 100000`},
		{"unschedulable", shop().app("web", 1, 0).service("web", contract.Active, contract.TargetKey, "web").
			state("web", sleep.State{Phase: sleep.Awake, Claims: claims("tpa-proxy-a")}, nil).
			pod("web-0", map[string]string{"app": "web"}, false, unschedulable),
			"no pod of deployment/web is ready: Unschedulable (0/3 nodes are available: 3 Insufficient memory.)"},
	} {
		e, found := tt.w.Explain("web")
		if !found || len(e.Problems) == 0 || e.Problems[0].What != tt.want {
			t.Errorf("%s: %+v, want %s", tt.name, e.Problems, tt.want)
		}
	}
}

func TestSettingsAndWhereTheyComeFrom(t *testing.T) {
	w := shop().service("web", contract.Active, contract.TargetKey, "web,sts/db", contract.MaxHeldKey, "no", contract.WakeReplicasKey, "3")
	w.Meta.Annotations = map[string]string{contract.IdleTimeoutKey: "1h", contract.ProxyReplicasKey: "3"}
	e, _ := w.Explain("web")
	got := map[string][2]string{}
	for _, s := range e.Settings {
		got[s.Key] = [2]string{s.Value, s.From}
	}
	for key, want := range map[string][2]string{
		contract.TargetKey:        {"deployment/web,statefulset/db", "Service web"},
		contract.IdleTimeoutKey:   {"1h", "Namespace shop"},
		contract.WakeReplicasKey:  {"3", "Service web"},
		contract.MaxHeldKey:       {"1024", "default, for want of a good value"},
		contract.WakeTimeoutKey:   {"2m", "default"},
		contract.ProxyReplicasKey: {"3", "Namespace shop"},
	} {
		if got[key] != want {
			t.Errorf("%s: %v, want %v", key, got[key], want)
		}
	}
	for _, key := range contract.UserKeys() {
		if _, ok := got[key]; !ok && key != contract.BypassKey { // which is for Services that are not managed
			t.Errorf("%s is not explained", key)
		}
	}
}

// TestPast: the present sleep counts, and of what did not run only what TPA kept from running.
func TestPast(t *testing.T) {
	h := contract.History{Sleeps: 2, Asleep: 100, Saved: contract.Saved{Replicas: 200, CPU: 50}, Pod: contract.Requests{CPU: 0.25}}
	asleep := sleep.State{Phase: sleep.Asleep, Since: ago(time.Minute), Replicas: 2, Owed: true}
	byHand := sleep.State{Phase: sleep.Asleep, Since: ago(time.Minute), Replicas: 2}
	for name, tt := range map[string]struct {
		target Target
		asleep float64
		saved  contract.Saved
	}{
		"asleep":         {Target{Known: true, Sleep: asleep, History: &h}, 160, contract.Saved{Replicas: 320, CPU: 80}},
		"by hand":        {Target{Known: true, Sleep: byHand, History: &h}, 160, h.Saved},
		"awake":          {Target{Known: true, Sleep: sleep.State{Phase: sleep.Awake, Since: ago(time.Minute)}, History: &h}, 100, h.Saved},
		"not known":      {Target{History: &h}, 100, h.Saved},
		"without a past": {Target{Known: true, Sleep: asleep}, 0, contract.Saved{}},
	} {
		past, known := tt.target.Past(noon)
		if past.Asleep != tt.asleep || past.Saved != tt.saved || known != (tt.target.History != nil) {
			t.Errorf("%s: %+v, %t", name, past, known)
		}
	}
}

// TestExplainAll: it is what List lists, each as Explain explains it.
func TestExplainAll(t *testing.T) {
	w := everything()
	all, list := w.ExplainAll(), w.List()
	if len(all) != len(list) {
		t.Fatalf("%d are explained, %d listed", len(all), len(list))
	}
	for i, e := range all {
		one, _ := w.Explain(list[i].Name)
		if diff := cmp.Diff(one, e, cmp.AllowUnexported(Service{})); diff != "" {
			t.Errorf("%s (-Explain +ExplainAll):\n%s", list[i].Name, diff)
		}
	}
}

// TestRequestToSleepIsToCome: the proxies heed no request of a time that is far ahead, and so it is said.
func TestRequestToSleepIsToCome(t *testing.T) {
	for _, tt := range []struct {
		ahead          time.Duration
		sleepsIn, says string
	}{
		{-time.Minute, "now", "Somebody asked at"},
		{30 * time.Second, "now", "Somebody asked at"},
		{time.Hour, "8m", "does not count: that is still to come"},
	} {
		w := shop().app("web", 1, 1).service("web", contract.Active, contract.TargetKey, "web",
			contract.SleepRequestedKey, noon.Add(tt.ahead).Format(time.RFC3339))
		w.state("web", sleep.State{Phase: sleep.Awake, Since: ago(2 * time.Minute)}, nil)
		e, _ := w.Explain("web")
		if why := strings.Join(e.Why, "\n"); e.sleepsText() != tt.sleepsIn || !strings.Contains(why, tt.says) {
			t.Errorf("%s ahead: it sleeps in %s; %s", tt.ahead, e.sleepsText(), why)
		}
	}
}

// TestObservedWhileAsleep: to observe wakes nobody.
func TestObservedWhileAsleep(t *testing.T) {
	w := shop().app("web", 0, 0).service("web", contract.Active, contract.TargetKey, "web", contract.ModeKey, "observe")
	w.state("web", sleep.State{Phase: sleep.Asleep, Since: ago(time.Hour), Replicas: 1, Owed: true}, nil)
	e, _ := w.Explain("web")
	if why := strings.Join(e.Why, "\n"); !strings.Contains(why, "What sleeps already sleeps on until its next connection.") || strings.Contains(why, "awake now") {
		t.Error(why)
	}
}

// TestPausedAtZeroByHand: TPA lets that be, until somebody comes.
func TestPausedAtZeroByHand(t *testing.T) {
	for _, tt := range []struct {
		name  string
		usage map[string]contract.ServiceUsage
		want  State
		says  string
	}{
		{"nobody is there", map[string]contract.ServiceUsage{"api": {Open: 1}}, Asleep, "deployment/web was scaled to 0 by hand; the next connection wakes it to 1."},
		{"somebody is held", map[string]contract.ServiceUsage{"web": {Held: 1}}, Waking, "1 held until a pod is ready"},
		{"not known", nil, Waking, "It is paused"},
	} {
		w := shop().app("web", 0, 0).service("web", contract.Active, contract.TargetKey, "web", contract.ModeKey, "paused")
		w.state("web", sleep.State{Phase: sleep.Awake, Since: ago(time.Hour), Claims: claims("tpa-proxy-a")}, nil)
		if tt.usage != nil {
			w.usage("tpa-proxy-a", tt.usage)
		}
		e, _ := w.Explain("web")
		if why := strings.Join(e.Why, "\n"); e.State != tt.want || !strings.Contains(why, tt.says) || tt.want == Asleep && len(e.Problems) > 0 {
			t.Errorf("%s: %s, %s, %+v", tt.name, e.State, why, e.Problems)
		}
	}
}

// TestExplainMany: what the proxies say is read once for all Services, and not once for each.
func TestExplainMany(t *testing.T) {
	allocations := func(n int) float64 {
		w, usage := shop(), map[string]contract.ServiceUsage{}
		for i := range n {
			name := fmt.Sprintf("web-%d", i)
			w.app(name, 1, 1).service(name, contract.Active, contract.TargetKey, name)
			w.state(name, sleep.State{Phase: sleep.Awake, Since: ago(time.Hour), Claims: claims("tpa-proxy-a")}, nil)
			usage[name] = contract.ServiceUsage{Open: 1, Oldest: []contract.ConnectionUsage{{From: "10.0.0.9:41000", Port: 80, Since: ago(time.Minute)}}}
		}
		w.usage("tpa-proxy-a", usage)
		return testing.AllocsPerRun(1, func() { w.ExplainAll() })
	}
	if few, many := allocations(20), allocations(200); many > 15*few {
		t.Errorf("%.0f allocations for 20 Services, %.0f for 200", few, many)
	}
}
