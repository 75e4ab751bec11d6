package services

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/target"
)

func TestTargetIsBlockedWhileConnectionsPassTheProxyBy(t *testing.T) {
	a := makePod("a", "web", "10.0.0.1").label("pod", "yes")
	other := func() *service { return makeService("other").selects("pod", "yes") }
	tests := []struct {
		name    string
		objects []any
		want    string // what the reason names; empty if not blocked
	}{
		{"alone", nil, ""},
		{"a Pending sibling", []any{makeService("api").managed(contract.Pending, "web")}, "Service api do"},
		{"a Pending sibling on another target", []any{makeService("api").managed(contract.Pending, "sts/db")}, ""},
		{"an Active sibling", []any{makeService("api").managed(contract.Active, "web")}, ""},
		{"an unmanaged Service that selects its pods", []any{other()}, "Service other, which is not managed"},
		{"an unmanaged Service that selects others", []any{other().selects("pod", "no")}, ""},
		{"an unmanaged Service without a selector", []any{&service{svc: &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "x"}}}}, ""},
		{"an unmanaged Service with bypass", []any{other().annotate(contract.BypassKey, "true")}, ""},
		{"an unmanaged Service with bypass=false", []any{other().annotate(contract.BypassKey, "false")}, "Service other"},
		{"another target's Service that selects its pods", []any{other().managed(contract.Active, "sts/db")}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := worldOf(append(tt.objects, active("web", 20001), a)...).Plan().Targets[web].Use.Blocked
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("blocked %q, want %q", got, tt.want)
			}
		})
	}
}

// A target's pods are more than those that its Services select.
func TestTargetIsBlockedByItsOwnSelectorOnceThatIsKnown(t *testing.T) {
	w := worldOf(active("web", 20001), makePod("canary", "canary", "10.0.0.1").label("set", "web"),
		makeService("other").selects("app", "canary"))
	if got := w.Plan().Targets[web].Use.Blocked; got != "" {
		t.Errorf("blocked %q before its selector is known", got)
	}
	w.PodSelectors = map[contract.Target]labels.Selector{web: labels.SelectorFromSet(labels.Set{"set": "web"})}
	got := w.Plan().Targets[web]
	if !strings.Contains(got.Use.Blocked, "Service other") || got.Ready != 1 {
		t.Errorf("%+v, want blocked by the Service other, and one pod", got)
	}
}

// What keeps a target awake is said to all who wait for it to sleep.
func TestPlanSaysWhyATargetStaysAwake(t *testing.T) {
	api := func() *service { return makeService("api").managed(contract.Active, "web").age(time.Hour) }
	mine := makePod("a", "web", "10.0.0.1").label("set", "web").label("other", "yes")
	stranger := func() *service { return makeService("other").selects("other", "yes") }
	for _, tt := range []struct {
		name      string
		objects   []any
		known     string // the selector of the target's pods
		want      string // what the reason names; empty if there is none
		blocked   bool
		contested bool
	}{
		{"nothing", []any{active("web", 20001), mine}, "set=web", "", false, false},
		{"an unmanaged Service", []any{active("web", 20001), mine, stranger()}, "", "Service other, which is not managed", true, false},
		{"a mismatch that is not known yet", []any{active("web", 20001), api(), mine}, "", "", false, false},
		{"a mismatch", []any{active("web", 20001), api(), mine}, "set=web", "Service api, which selects app=api, selects no pod of deployment/web", false, false},
		{"both", []any{active("web", 20001), api(), mine, stranger()}, "set=web", "Service other, which is not managed", true, false},
		{"others who scale it up", []any{active("web", 20001), mine}, "set=web", "others scaled it up 3 times in a row", false, true},
		{"others who scale it up, and an unmanaged Service", []any{active("web", 20001), mine, stranger()}, "", "Service other", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := worldOf(tt.objects...)
			if tt.known != "" {
				selector, err := labels.Parse(tt.known)
				if err != nil {
					t.Fatal(err)
				}
				w.PodSelectors = map[contract.Target]labels.Selector{web: selector}
			}
			w.Views = map[contract.Target]target.View{web: {Awake: true, Contested: tt.contested}}
			got := w.Plan().Targets[web]
			if tt.want != "" && (got.Reason == replicasContested) != (tt.contested && !tt.blocked) {
				t.Errorf("an Event %s", got.Reason)
			}
			if (got.Awake == "") != (tt.want == "") || !strings.Contains(got.Awake, tt.want) {
				t.Errorf("awake because %q, want %q", got.Awake, tt.want)
			}
			if (got.Use.Blocked != "") != tt.blocked {
				t.Errorf("blocked %q", got.Use.Blocked)
			}
			var want []types.UID
			for _, svc := range w.managed() {
				want = append(want, svc.UID)
			}
			if diff := cmp.Diff(want, got.Services); diff != "" {
				t.Errorf("its Services (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMismatchNamesTheServiceThatSelectsNoPodOfItsTarget(t *testing.T) {
	selector := labels.SelectorFromSet(labels.Set{"set": "web"})
	mine := func() *pod { return makePod("a", "web", "10.0.0.1").label("set", "web") }
	tests := []struct {
		name    string
		objects []any
		want    string
	}{
		{"all is well", []any{active("web", 20001), mine()}, ""},
		{"it selects other pods", []any{active("web", 20001).annotate(contract.OriginalKey, `{"selector":{"app":"api"}}`), mine()}, "web"},
		{"no pod to tell by", []any{active("web", 20001).annotate(contract.OriginalKey, `{"selector":{"app":"api"}}`)}, ""},
		{"no pod, and none can be", []any{active("web", 20001).annotate(contract.OriginalKey, `{"selector":{"set":"api"}}`)}, "which selects set=api,"},
		{"no pod but one on its way out", []any{
			active("web", 20001).annotate(contract.OriginalKey, `{"selector":{"app":"api"}}`), mine().terminating(),
		}, ""},
		{"no ready pod that it selects", []any{
			active("web", 20001).annotate(contract.OriginalKey, `{"selector":{"app":"api"}}`), mine().readiness(corev1.ConditionFalse),
		}, "web"},
		{"its pod is not ready yet", []any{
			active("web", 20001), mine().readiness(corev1.ConditionFalse), makePod("b", "api", "10.0.0.2").label("set", "web"),
		}, ""},
		{"a Service on several targets", []any{makeService("api").managed(contract.Active, "web,sts/db"), mine()}, ""},
		{"a Service on another target", []any{makeService("api").managed(contract.Active, "sts/db"), mine()}, ""},
		{"a Service whose original is broken", []any{active("web", 20001).annotate(contract.OriginalKey, "{}"), mine()}, ""},
		{"an unmanaged Service", []any{makeService("api"), mine()}, ""},
		{"the second Service", []any{active("web", 20001), makeService("api").managed(contract.Active, "web"), mine()}, "Service api"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := worldOf(tt.objects...).index().mismatch(web, selector)
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestStrippedPodsGiveTheSamePlan(t *testing.T) {
	pods := []*pod{
		makePod("a", "web", "10.0.0.1").named("grpc", 9000, corev1.ProtocolTCP).named("dns", 53, corev1.ProtocolUDP),
		makePod("b", "web", "10.0.0.2").sidecar("grpc", 15000).label("pod", "yes"),
		makePod("c", "web", "10.0.0.3").readiness(corev1.ConditionFalse),
		makePod("d", "web", "10.0.0.4").terminating(),
		makePod("e", "web", ""),
	}
	w := worldOf(active("web", 20001),
		makeService("grpc").selects("app", "web").port(90, "", "grpc", 20002).managed(contract.Active, "web"),
		makeService("other").selects("pod", "yes"))
	w.PodSelectors = map[contract.Target]labels.Selector{web: labels.SelectorFromSet(labels.Set{"app": "web"})}
	stripped := w
	for _, p := range pods {
		p.pod.Annotations = map[string]string{"big": strings.Repeat("x", 1000)}
		p.pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
		p.pod.CreationTimestamp = metav1.NewTime(epoch.Add(-time.Hour))
		w.Pods = append(w.Pods, p.obj())
		before := p.obj().DeepCopy()
		kept := StripPod(p.obj())
		if diff := cmp.Diff(before, p.obj()); diff != "" {
			t.Errorf("StripPod changes its argument:\n%s", diff)
		}
		if kept.Annotations != nil || kept.ManagedFields != nil || kept.Spec.Containers[0].Image != "" || kept.UID != before.UID {
			t.Errorf("kept %+v, want what Plan needs and no more", kept)
		}
		stripped.Pods = append(stripped.Pods, kept)
	}
	want := w.Plan()
	if diff := cmp.Diff(want, stripped.Plan(), compare); diff != "" {
		t.Errorf("plan (-whole pods +stripped):\n%s", diff)
	}
	if len(want.Services["uid-grpc"].Ports[0].Backends) != 2 || want.Targets[web].Use.Blocked == "" {
		t.Errorf("this plan says little: %+v", want)
	}
}

// The same of Services.
func TestStrippedServicesGiveTheSamePlan(t *testing.T) {
	whole := func() World {
		web := active("web", 20001).affinity().annotate(corev1.LastAppliedConfigAnnotation, strings.Repeat("x", 1000))
		web.svc.Status.Conditions = []metav1.Condition{{Type: "Ready"}}
		return worldOf(web, makeService("other").selects("app", "web"), makePod("a", "web", "10.0.0.1"))
	}
	w := whole()
	for i, svc := range w.Services {
		w.Services[i] = stripService(svc)
		if svc.Annotations[corev1.LastAppliedConfigAnnotation] != "" || svc.Status.Conditions != nil {
			t.Errorf("kept %+v, want what Plan needs and no more", svc)
		}
	}
	if diff := cmp.Diff(whole().Plan(), w.Plan(), compare); diff != "" {
		t.Errorf("plan (-whole services +stripped):\n%s", diff)
	}
}
