package services

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/target"
)

func TestPlanOfAMissingWorkload(t *testing.T) {
	const both = "web,sts/db"
	starting := makePod("a", "web", "10.0.0.1").readiness(corev1.ConditionFalse)
	ready := makePod("a", "web", "10.0.0.1")
	set := func(of string) labels.Selector { return labels.SelectorFromSet(labels.Set{"app": of}) }
	for _, tt := range []struct {
		name      string
		targets   string
		missing   map[contract.Target]time.Duration // for how long
		selectors map[contract.Target]labels.Selector
		pods      []any
		unserved  bool
		says      string // of web
	}{
		{"it exists", "web", nil, nil, nil, false, ""},
		{"since a moment ago", "web", map[contract.Target]time.Duration{web: missingGrace - 1}, nil, nil, false, "connections are refused"},
		{"for long", "web", map[contract.Target]time.Duration{web: missingGrace}, nil, nil, true, "connections are refused"},
		{"its pods start again", "web", map[contract.Target]time.Duration{web: time.Hour}, nil, []any{starting}, false, "connections are refused"},
		{"its pods have outlived it", "web", map[contract.Target]time.Duration{web: time.Hour}, nil, []any{ready}, false, "cannot sleep"},
		{"its last pod is on its way out", "web", map[contract.Target]time.Duration{web: time.Hour}, nil,
			[]any{makePod("a", "web", "10.0.0.1").terminating()}, true, "connections are refused"},
		{"another may have the pods", both, map[contract.Target]time.Duration{web: time.Hour}, nil, nil, false, "connections are refused"},
		{"another has other pods", both, map[contract.Target]time.Duration{web: time.Hour},
			map[contract.Target]labels.Selector{db: set("db")}, nil, true, "connections are refused"},
		{"the other, which has other pods", both, map[contract.Target]time.Duration{db: time.Hour},
			map[contract.Target]labels.Selector{db: set("db"), web: set("web")}, nil, false, ""},
		{"both", both, map[contract.Target]time.Duration{web: time.Hour, db: time.Hour}, nil, nil, true, "connections are refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := worldOf(append(tt.pods, makeService("web").port(80, "http", 8080, 20001).managed(contract.Active, tt.targets))...)
			w.Now, w.PodSelectors, w.Views = epoch, tt.selectors, map[contract.Target]target.View{web: {Awake: true}, db: {Awake: true}}
			for of, since := range tt.missing {
				w.Views[of] = target.View{Awake: true, MissingSince: epoch.Add(-since)}
			}
			plan := w.Plan()
			if got := plan.Services["uid-web"].Unserved; got != tt.unserved {
				t.Errorf("unserved: %t, want %t", got, tt.unserved)
			}
			if got := plan.Targets[web]; (got.Missing == "") != (tt.says == "") || !strings.Contains(got.Missing, tt.says) {
				t.Errorf("missing: %q, want %q", got.Missing, tt.says)
			}
			if got := plan.Targets[web].Starting; got != (len(tt.pods) > 0 && tt.pods[0].(*pod).pod.DeletionTimestamp == nil) {
				t.Errorf("starting: %t", got)
			}
		})
	}
}

// waits has the pod's container not run.
func (p *pod) waits(state corev1.ContainerState) *pod {
	p.pod.Status.ContainerStatuses = append(p.pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: "app", State: state, RestartCount: 7})
	return p.readiness(corev1.ConditionFalse)
}

func waiting(reason string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "back-off 20s, of web-6f7-x2x"}}
}

func TestPlanSaysWhyNoPodWasReadyInTime(t *testing.T) {
	web := func() *pod { return makePod("a", "web", "10.0.0.1") }
	other := func() *pod { return makePod("b", "web", "10.0.0.2") }
	unscheduled := web().readiness(corev1.ConditionFalse)
	unscheduled.pod.Status.Conditions[0] = corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable"}
	failed := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}
	const text = "no pod of deployment/web was ready within 2m0s: "
	for _, tt := range []struct {
		name   string
		waited time.Duration
		pods   []any
		want   string
	}{
		{"nobody waited", 0, nil, ""},
		{"nobody waited for all of it", 3 * time.Second, nil, ""},
		{"no pod", 2 * time.Minute, nil, text + "none was created"},
		{"image", 2 * time.Minute, []any{web().waits(waiting("ErrImagePull"))}, text + "container app: ImagePullBackOff"},
		{"crashes", 2 * time.Minute, []any{web().waits(waiting("CrashLoopBackOff")), other().waits(waiting("CrashLoopBackOff"))},
			text + "container app: CrashLoopBackOff"},
		{"has just crashed", 2 * time.Minute, []any{web().waits(failed)}, text + "container app: OOMKilled"},
		{"still starting", 2 * time.Minute, []any{web().waits(waiting("ContainerCreating"))}, text + "not ready yet"},
		{"nowhere to run", 2 * time.Minute, []any{unscheduled}, text + "Unschedulable"},
		{"different", 2 * time.Minute, []any{web().readiness(corev1.ConditionFalse), other().waits(failed)},
			text + "container app: OOMKilled, not ready yet"},
		{"too late", 2 * time.Minute, []any{web()}, text + "one is ready now"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := worldOf(append(tt.pods, active("web", 20001))...)
			w.Late = map[types.UID]time.Duration{"uid-web": tt.waited}
			if got := w.Plan().Services["uid-web"].Late; got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			for i, p := range w.Pods {
				w.Pods[i] = StripPod(p)
			}
			if got := w.Plan().Services["uid-web"].Late; got != tt.want {
				t.Errorf("of stripped pods: %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLatenessIsTheLongestSinceTheLastLook(t *testing.T) {
	var l lateness
	if !l.note("x", time.Second) || l.note("x", time.Minute) || l.note("x", time.Second) || !l.note("y", time.Hour) {
		t.Error("not each Service's first note is told apart")
	}
	if got := l.take(); got["x"] != time.Minute || got["y"] != time.Hour {
		t.Errorf("%v", got)
	}
	if got := l.take(); len(got) > 0 || !l.note("x", time.Second) {
		t.Errorf("%v is left", got)
	}
}

func TestNoticesOfAPlan(t *testing.T) {
	m := &Manager{late: map[types.UID]said{}, kick: make(chan struct{}, 1)}
	plan := Plan{
		Services: map[types.UID]ServicePlan{"x": {Name: "web"}, "y": {Name: "api", Late: "no pod"}},
		Targets: map[contract.Target]TargetPlan{
			web: {Services: []types.UID{"x", "y"}, Awake: "because", Reason: sleepBlocked},
			db:  {Services: []types.UID{"x"}, Awake: "because", Missing: "gone"},
		},
	}
	want := map[notice]bool{
		{"web", "x", sleepBlocked, "deployment/web does not sleep: because"}: true,
		{"api", "y", sleepBlocked, "deployment/web does not sleep: because"}: true,
		{"web", "x", targetMissing, "gone"}:                                  true,
		{"api", "y", wakeTimeout, "no pod"}:                                  true,
	}
	check := func(at time.Time) {
		t.Helper()
		got := m.notices(plan, at)
		for _, n := range got {
			if !want[n] {
				t.Errorf("says %+v", n)
			}
		}
		if len(got) != len(want) {
			t.Errorf("says %+v, want %+v", got, want)
		}
	}
	check(epoch)
	plan.Services["y"] = ServicePlan{Name: "api"} // it is told once, and said for a while
	check(epoch.Add(lateFor - 1))
	delete(want, notice{"api", "y", wakeTimeout, "no pod"})
	check(epoch.Add(lateFor))
}
