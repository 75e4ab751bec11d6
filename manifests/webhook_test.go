package manifests

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"

	"tpa.dev/tpa/proxy/contract"
)

// service is a Service of the given annotations, selector keys and, perhaps, the end of its life.
type service struct {
	annotations []string
	selector    []string
	deleted     bool
}

func (s *service) object() runtime.Object {
	if s == nil {
		return nil
	}
	object := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	for _, key := range s.annotations {
		metav1.SetMetaDataAnnotation(&object.ObjectMeta, key, "x")
	}
	for _, key := range s.selector {
		object.Spec.Selector = map[string]string{key: "x"}
	}
	if s.deleted {
		now := metav1.Now()
		object.DeletionTimestamp = &now
	}
	return object
}

// The conditions are evaluated by the API server's own code.
func TestMatchConditions(t *testing.T) {
	plain := &service{selector: []string{"app"}}
	other := &service{selector: []string{"app"}, annotations: []string{"example.com/team"}}
	wanting := &service{selector: []string{"app"}, annotations: []string{contract.TargetKey}}
	managed := &service{selector: []string{contract.SelectorKey}, annotations: []string{contract.TargetKey, contract.PhaseKey}}
	forged := &service{selector: []string{"app"}, annotations: []string{contract.PhaseKey}}
	bare := &service{selector: []string{contract.SelectorKey}}
	gone := &service{selector: []string{contract.SelectorKey}, annotations: managed.annotations, deleted: true}
	for _, tt := range []struct {
		name        string
		old, object *service // no old object: a CREATE
		optin       bool
		managed     bool
	}{
		{name: "create", object: plain},
		{name: "create without selector", object: &service{}},
		{name: "create with another annotation", object: other},
		{name: "create annotated", object: wanting, optin: true},
		{name: "create from an export", object: managed, optin: true, managed: true},
		{name: "create with the reserved selector", object: bare, optin: true},
		{name: "create with a phase of one's own", object: forged, managed: true},
		{name: "write a phase of one's own", old: plain, object: forged, managed: true},
		{name: "update", old: plain, object: other},
		{name: "update without selector", old: &service{}, object: &service{}},
		{name: "annotate", old: plain, object: wanting, optin: true},
		{name: "annotate one with annotations", old: other, object: wanting, optin: true},
		{name: "change an annotated one that is not managed", old: wanting, object: wanting, optin: true},
		{name: "change a managed one", old: managed, object: managed, managed: true},
		{name: "replace a managed one", old: managed, object: plain, managed: true},
		{name: "take every annotation off", old: managed, object: bare, managed: true},
		{name: "a managed one that is being deleted", old: managed, object: gone},
		{name: "an annotated one that is being deleted", old: wanting, object: gone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, want := range map[string]bool{"optin.tpa.dev": tt.optin, "managed.tpa.dev": tt.managed} {
				if got := matches(t, name, tt.object.object(), tt.old.object()); got != want {
					t.Errorf("%s: called is %t, want %t", name, got, want)
				}
			}
		})
	}
}

func matches(t *testing.T, name string, object, old runtime.Object) bool {
	t.Helper()
	data, err := load(t)["MutatingWebhookConfiguration/tpa"].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var config admissionv1.MutatingWebhookConfiguration
	if err := yaml.UnmarshalStrict(data, &config); err != nil {
		t.Fatal(err)
	}
	operation := admission.Create
	if old != nil {
		operation = admission.Update
	}
	kind := corev1.SchemeGroupVersion.WithKind("Service")
	resource := corev1.SchemeGroupVersion.WithResource("services")
	attributes := &admission.VersionedAttributes{
		Attributes:         admission.NewAttributesRecord(object, old, kind, "shop", "web", resource, "", operation, nil, false, nil),
		VersionedKind:      kind,
		VersionedObject:    admission.NewLazyObject(object),
		VersionedOldObject: admission.NewLazyObject(old),
	}
	compiler := cel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	for i := range config.Webhooks {
		if config.Webhooks[i].Name != name {
			continue
		}
		hook := webhook.NewMutatingWebhookAccessor("uid", config.Name, &config.Webhooks[i])
		result := hook.GetCompiledMatcher(compiler).Match(t.Context(), attributes, nil, nil)
		if result.Error != nil {
			t.Fatalf("%s: %v", name, result.Error)
		}
		return result.Matches
	}
	t.Fatalf("no webhook %s", name)
	return false
}
