package rewrite

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

func intstrOf(s string) intstr.IntOrString { return intstr.Parse(s) }

// applied is the last-applied annotation of a manifest with this selector.
func applied(selector string) func(*corev1.Service) {
	return set(corev1.LastAppliedConfigAnnotation, fmt.Sprintf(`{"spec":{"selector":%s}}`, selector))
}

// owns makes a manager the owner of the selector, as the API server notes it before admission.
func owns(manager string) func(*corev1.Service) {
	return func(svc *corev1.Service) {
		svc.ManagedFields = []metav1.ManagedFieldsEntry{
			{Manager: "helm", FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{}}}`)},
			{Manager: manager, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:selector":{}}}`)},
		}
		if manager == "" {
			svc.ManagedFields = nil
		}
	}
}

// TestSelector: what each client sends for a Service whose live selector is TPA's, and what its user means. The user's
// selector is app=web,tier=a; K is TPA's key.
func TestSelector(t *testing.T) {
	k := contract.SelectorKey
	both := `{"app":"web","tier":"a"}`
	for _, tt := range []struct {
		client, does string
		was          string // last applied before
		edits        []func(*corev1.Service)
		sends        []string
		want         string
		warns        bool
	}{
		{"client-side apply", "same again", both, []func(*corev1.Service){applied(both)}, []string{k, "tpa-proxy", "app", "web", "tier", "a"}, "app=web,tier=a", false},
		{"client-side apply", "key changed", both, []func(*corev1.Service){applied(`{"app":"web","tier":"b"}`)}, []string{k, "tpa-proxy", "app", "web", "tier", "b"}, "app=web,tier=b", false},
		{"client-side apply", "key added", both, []func(*corev1.Service){applied(`{"app":"web","tier":"a","x":"y"}`)}, []string{k, "tpa-proxy", "app", "web", "tier", "a", "x", "y"}, "app=web,tier=a,x=y", false},
		{"client-side apply", "key dropped", both, []func(*corev1.Service){applied(`{"app":"web"}`)}, []string{k, "tpa-proxy", "app", "web"}, "app=web", false},
		{"client-side apply", "same again, somebody else added tier", `{"app":"web"}`, []func(*corev1.Service){applied(`{"app":"web"}`)}, []string{k, "tpa-proxy", "app", "web"}, "app=web,tier=a", false},
		{"client-side apply", "the first time", "", []func(*corev1.Service){applied(`{"app":"web2"}`)}, []string{k, "tpa-proxy", "app", "web2"}, "app=web2,tier=a", false},
		{"server-side apply", "names the selector", "", nil, []string{"app", "web", "tier", "a"}, "app=web,tier=a", false},
		{"server-side apply", "key dropped", "", nil, []string{"app", "web"}, "app=web", false},
		{"server-side apply", "does not mention spec", "", nil, []string{k, "tpa-proxy"}, "app=web,tier=a", false},
		{"kubectl patch", "one key changed", "", nil, []string{k, "tpa-proxy", "tier", "b"}, "app=web,tier=b", true},
		{"kubectl patch", "one key changed, applied before", both, nil, []string{k, "tpa-proxy", "tier", "b"}, "app=web,tier=b", true},
		{"kubectl patch", "one key added", "", nil, []string{k, "tpa-proxy", "x", "y"}, "app=web,tier=a,x=y", true},
		{"kubectl patch", "of a Helm release", "", []func(*corev1.Service){owns("kubectl-patch")}, []string{k, "tpa-proxy", "tier", "b"}, "app=web,tier=b", true},
		{"kubectl patch", "TPA's key", "", nil, []string{k, "other"}, "app=web,tier=a", false},
		{"kubectl edit", "TPA's key replaced", "", nil, []string{"app", "web2"}, "app=web2", false},
		{"Helm 3", "same again", "", []func(*corev1.Service){owns("helm")}, []string{k, "tpa-proxy", "app", "web", "tier", "a"}, "app=web,tier=a", false},
		{"Helm 3", "key dropped", "", []func(*corev1.Service){owns("helm")}, []string{k, "tpa-proxy", "app", "web"}, "app=web", false},
		{"Flux", "key dropped", "", []func(*corev1.Service){owns("helm-controller")}, []string{k, "tpa-proxy", "app", "web"}, "app=web", false},
		{"replace", "all keys new", "", nil, []string{"run", "other"}, "run=other", false},
	} {
		for _, phase := range []contract.Phase{contract.Active, contract.Restoring} {
			t.Run(fmt.Sprintf("%s/%s/%s", tt.client, tt.does, phase), func(t *testing.T) {
				old := active().Annotate(contract.PhaseKey, string(phase)).Obj()
				if phase == contract.Restoring {
					delete(old.Annotations, contract.TargetKey)
				}
				if tt.was != "" {
					applied(tt.was)(old)
				}
				incoming := edited(old, func(svc *corev1.Service) {
					for _, edit := range tt.edits {
						edit(svc)
					}
					svc.Spec.Selector = pair(tt.sends)
				})
				after, result := admit(t, Request{Old: old, New: incoming})
				if got := show(userForm(t, after).Selector); got != tt.want {
					t.Errorf("selector %s, want %s", got, tt.want)
				}
				if !contract.IsProxySelector(after.Spec.Selector) {
					t.Errorf("live selector %v", after.Spec.Selector)
				}
				if got := len(result.Warnings) > 0; got != tt.warns {
					t.Errorf("warnings %q, want any: %v", result.Warnings, tt.warns)
				}
			})
		}
	}
}

// TestSelectorFollows: while Pending the live selector is the user's, and the original is its copy.
func TestSelectorFollows(t *testing.T) {
	pending, _ := admit(t, Request{New: users().Obj()})
	after, result := admit(t, Request{Old: pending, New: edited(pending, func(svc *corev1.Service) {
		svc.Spec.Selector = pair([]string{"run", "other"})
		svc.Spec.Ports = svc.Spec.Ports[:1]
		svc.Spec.Ports[0].TargetPort = intstrOf("8080")
	})})
	original, err := contract.ParseOriginal(after.Annotations[contract.OriginalKey])
	if err != nil {
		t.Fatal(err)
	}
	want := contract.Original{
		Selector:    pair([]string{"run", "other"}),
		TargetPorts: map[int32]intstr.IntOrString{80: intstrOf("8080")},
	}
	if diff := cmp.Diff(want, original); diff != "" {
		t.Errorf("original (-want +got):\n%s", diff)
	}
	if len(result.Warnings) > 0 {
		t.Errorf("warnings: %q", result.Warnings)
	}
}

func TestSelectorRejected(t *testing.T) {
	k := contract.SelectorKey
	pending, _ := admit(t, Request{New: users().Obj()})
	lost := edited(active().Obj(), set(contract.OriginalKey, "{"))
	for name, tt := range map[string]struct {
		old  *corev1.Service
		edit func(*corev1.Service)
		want string
	}{
		"no selector while Active": {
			active().Obj(), func(svc *corev1.Service) { svc.Spec.Selector = nil },
			"spec.selector: Required value: TPA finds the pods by it: keep it, or remove tpa.dev/target first and wait",
		},
		"no selector and no target while Active": {
			active().Obj(), func(svc *corev1.Service) { svc.Spec.Selector = nil; unset(contract.TargetKey)(svc) },
			"wait until tpa.dev/phase is gone",
		},
		"no selector while Pending": {
			pending, func(svc *corev1.Service) { svc.Spec.Selector = nil },
			"write one, or remove tpa.dev/target",
		},
		"TPA's key among the user's": {
			pending, func(svc *corev1.Service) { svc.Spec.Selector[k] = "tpa-proxy" },
			`spec.selector[tpa.dev/proxy]: Invalid value: "tpa-proxy": the key is TPA's own: remove it`,
		},
		"the original is lost": {
			lost, set("example.com/note", "x"), "write the selector of your pods",
		},
		"a selector that the API server would refuse": {
			active().Obj(), func(svc *corev1.Service) { svc.Spec.Selector = pair([]string{"app", "no spaces"}) },
			`spec.selector: Invalid value: "no spaces"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := tryAdmit(t, Request{Old: tt.old, New: edited(tt.old, tt.edit)})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

// TestLostOriginalIsMended: whoever writes the whole Service again, mends it.
func TestLostOriginalIsMended(t *testing.T) {
	lost := edited(active().Obj(), set(contract.OriginalKey, `{"selector":{"tpa.dev/proxy":"tpa-proxy"}}`))
	after, _ := admit(t, Request{Old: lost, New: edited(lost, func(svc *corev1.Service) { svc.Spec = users().Obj().Spec })})
	if diff := cmp.Diff(users().Obj().Spec, userForm(t, after)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
