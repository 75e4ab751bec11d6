package admission

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tpa.dev/tpa/proxy/contract"
)

// object is an object named "x" with strings at paths: "spec.a.b", "value", and so on.
func object(t *testing.T, pairs ...string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "x"}}}
	for i := 0; i < len(pairs); i += 2 {
		if err := unstructured.SetNestedField(o.Object, pairs[i+1], strings.Split(pairs[i], ".")...); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestRivals(t *testing.T) {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: "apps", Version: "v1"}, {Group: "argoproj.io", Version: "v1alpha1"}})
	for _, gvk := range []schema.GroupVersionKind{
		{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "apps", Version: "v1", Kind: "StatefulSet"},
		{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"},
	} {
		mapper.Add(gvk, meta.RESTScopeNamespace)
	}
	rollout := func(svc *corev1.Service, _ []contract.Target, o *unstructured.Unstructured) (*field.Error, error) {
		return byRollout(svc, o), nil
	}
	canary := func(svc *corev1.Service, _ []contract.Target, o *unstructured.Unstructured) (*field.Error, error) {
		return byCanary(svc, o), nil
	}
	keda := func(svc *corev1.Service, targets []contract.Target, o *unstructured.Unstructured) (*field.Error, error) {
		return byScaledObject(svc, targets, o, mapper)
	}
	const ref = "spec.scaleTargetRef."
	for _, tt := range []struct {
		judge   func(*corev1.Service, []contract.Target, *unstructured.Unstructured) (*field.Error, error)
		service string
		target  string
		object  []string
		want    string // empty: no rival
	}{
		{rollout, "web", "web", []string{"spec.strategy.canary.stableService", "web"}, `"x" asks in spec.strategy.canary.stableService`},
		{rollout, "web", "web", []string{"spec.strategy.canary.canaryService", "web"}, "spec.strategy.canary.canaryService"},
		{rollout, "web", "web", []string{"spec.strategy.canary.pingPong.pongService", "web"}, "pingPong.pongService"},
		{rollout, "web", "web", []string{"spec.strategy.blueGreen.activeService", "web"}, "spec.strategy.blueGreen.activeService"},
		{rollout, "web", "web", []string{"spec.strategy.blueGreen.previewService", "web"}, "spec.strategy.blueGreen.previewService"},
		{rollout, "web", "web", []string{"spec.strategy.canary.stableService", "other"}, ""},
		{rollout, "web", "web", []string{"spec.strategy", "canary"}, ""},
		{rollout, "", "web", nil, ""}, // a name that the API server has not made up yet

		{canary, "web", "web", []string{"spec.targetRef.name", "web"}, `Canary "x"`},
		{canary, "web-primary", "web", []string{"spec.targetRef.name", "web"}, `Canary "x"`},
		{canary, "web-canary", "web", []string{"spec.targetRef.name", "web"}, `Canary "x"`},
		{canary, "shop", "web", []string{"spec.targetRef.name", "web", "spec.service.name", "shop"}, `Canary "x"`},
		{canary, "shop-canary", "web", []string{"spec.targetRef.name", "web", "spec.service.name", "shop"}, `Canary "x"`},
		{canary, "web", "web", []string{"spec.targetRef.name", "web", "spec.service.name", "shop"}, ""},
		{canary, "web", "web", []string{"spec.targetRef.name", "web", "spec.targetRef.kind", "Service"}, ""},
		{canary, "", "web", []string{"spec.service.port", "80"}, ""},

		{keda, "web", "web", []string{ref + "name", "web"}, `"web": KEDA scales deployment/web, as ScaledObject "x" asks`},
		{keda, "web", "sts/web", []string{ref + "name", "web", ref + "kind", "StatefulSet"}, "KEDA scales statefulset/web"},
		{keda, "web", "rollouts.argoproj.io/web", []string{ref + "name", "web", ref + "kind", "Rollout", ref + "apiVersion", "argoproj.io/v1alpha1"}, "KEDA scales rollouts.argoproj.io/web"},
		{keda, "web", "db,web", []string{ref + "name", "web"}, `"db,web": KEDA scales deployment/web`},
		{keda, "web", "sts/web", []string{ref + "name", "web"}, ""},
		{keda, "web", "web", []string{ref + "name", "other"}, ""},
		{keda, "web", "web", []string{ref + "name", "web", ref + "kind", "Rollout", ref + "apiVersion", "argoproj.io/v1alpha1"}, ""},
		{keda, "web", "web", []string{ref + "name", "web", ref + "kind", "deployment"}, ""}, // KEDA takes no such kind
		{keda, "web", "web", nil, ""},
	} {
		t.Run(fmt.Sprintf("%s %s %v", tt.service, tt.target, tt.object), func(t *testing.T) {
			svc := service(map[string]string{contract.TargetKey: tt.target})
			svc.Name = tt.service
			settings, err := contract.Parse(svc.Annotations, contract.Defaults{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := tt.judge(svc, settings.Targets, object(t, tt.object...))
			if err != nil {
				t.Fatal(err)
			}
			if (got == nil) != (tt.want == "") || got != nil && !strings.Contains(got.Error(), tt.want) {
				t.Errorf("got %v, want %q", got, tt.want)
			}
		})
	}
}

// TestHandleRivals: who is asked about rivals, and what becomes of the answer.
func TestHandleRivals(t *testing.T) {
	target := map[string]string{contract.TargetKey: "web"}
	pending := map[string]string{contract.TargetKey: "web", contract.PhaseKey: "Pending"}
	labelled := func(svc *corev1.Service) *corev1.Service {
		svc.Labels = map[string]string{"team": "a"}
		return svc
	}
	found := field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), "web", "Flagger changes it")}
	for name, tt := range map[string]struct {
		user     string
		old, new *corev1.Service
		found    field.ErrorList
		fails    error
		asked    bool
		denied   string
		code     int32
	}{
		"opt in":                  {user: "ann", new: service(target), asked: true},
		"opt in with a rival":     {user: "ann", new: service(target), found: found, asked: true, denied: `metadata.name: "web" is not accepted: Flagger changes it`, code: http.StatusForbidden},
		"nobody can say":          {user: "ann", new: service(target), fails: errors.New("timeout"), asked: true, denied: "so nothing was changed; try again: timeout", code: http.StatusInternalServerError},
		"TPA adopts":              {user: self, old: service(target), new: service(target), found: found, asked: true, denied: "Flagger changes it", code: http.StatusForbidden},
		"something else":          {user: "ann", old: service(pending), new: labelled(service(pending)), found: found},
		"TPA changes its own":     {user: self, old: service(pending), new: labelled(service(pending)), found: found},
		"TPA lets a Service go":   {user: self, old: service(pending), new: service(target), found: found},
		"who may not is not told": {user: "bob", new: service(target), found: found, denied: `user "bob" may not`, code: http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			asked := false
			h := &Handler{
				Self: self, Reviews: &reviewer{allow: []string{"ann update deployments.apps/scale shop/web"}},
				Rivals: func(context.Context, *corev1.Service, []contract.Target) (field.ErrorList, error) {
					asked = true
					return tt.found, tt.fails
				},
			}
			got := h.Handle(t.Context(), request(t, tt.user, tt.old, tt.new))
			if asked != tt.asked {
				t.Errorf("asked %v, want %v", asked, tt.asked)
			}
			if got.Allowed != (tt.denied == "") || !strings.Contains(got.Result.Message, tt.denied) {
				t.Fatalf("allowed %v: %s\nwant %s", got.Allowed, got.Result.Message, tt.denied)
			}
			if !got.Allowed && got.Result.Code != tt.code {
				t.Errorf("code %d, want %d", got.Result.Code, tt.code)
			}
		})
	}
}
