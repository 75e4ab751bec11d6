package admission

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"tpa.dev/tpa/proxy/contract"
)

const self = "system:serviceaccount:tpa-system:tpa-webhook"

// reviewer allows what is listed as "USER VERB RESOURCE.GROUP/SUBRESOURCE NAMESPACE/NAME" and keeps the questions.
type reviewer struct {
	allow []string
	err   error
	asked []authorizationv1.SubjectAccessReviewSpec
}

func (r *reviewer) Create(_ context.Context, review *authorizationv1.SubjectAccessReview, _ metav1.CreateOptions) (
	*authorizationv1.SubjectAccessReview, error,
) {
	r.asked = append(r.asked, review.Spec)
	if r.err != nil {
		return nil, r.err
	}
	a := review.Spec.ResourceAttributes
	question := review.Spec.User + " " + a.Verb + " " + a.Resource + "." + a.Group + "/" + a.Subresource + " " +
		a.Namespace + "/" + a.Name
	review.Status.Allowed = slices.Contains(r.allow, question)
	return review, nil
}

func service(annotations map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", ResourceVersion: "1", Annotations: annotations},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"},
			Ports:    []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http")}},
		},
	}
}

func request(t testing.TB, user string, old, incoming *corev1.Service) admission.Request {
	t.Helper()
	raw := func(svc *corev1.Service) runtime.RawExtension {
		if svc == nil {
			return runtime.RawExtension{}
		}
		doc, err := json.Marshal(svc)
		if err != nil {
			t.Fatal(err)
		}
		return runtime.RawExtension{Raw: doc}
	}
	operation := admissionv1.Update
	if old == nil {
		operation = admissionv1.Create
	}
	return admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "u", Operation: operation, Namespace: "shop", Name: "web", Object: raw(incoming), OldObject: raw(old),
		UserInfo: authenticationv1.UserInfo{
			Username: user, UID: "7", Groups: []string{"devs"},
			Extra: map[string]authenticationv1.ExtraValue{"scopes": {"a", "b"}},
		},
	}}
}

func TestHandle(t *testing.T) {
	mayScaleWeb := []string{"ann update deployments.apps/scale shop/web"}
	target := map[string]string{contract.TargetKey: "web"}
	with := func(key, value string) map[string]string {
		return map[string]string{contract.TargetKey: "web", key: value}
	}
	exists := func(_ context.Context, _ string, target contract.Target) (bool, error) {
		if target.Name == "broken" {
			return false, errors.New("no answer")
		}
		return target.Name == "web", nil
	}
	for name, tt := range map[string]struct {
		user     string
		old, new *corev1.Service
		allow    []string
		fails    error
		asked    int
		denied   string // empty: allowed
		code     int32
		patches  bool
		warning  string
	}{
		"opt in": {
			user: "ann", new: service(target), allow: mayScaleWeb, asked: 1, patches: true,
		},
		"who may not scale": {
			user: "bob", new: service(target), allow: mayScaleWeb, asked: 1, code: http.StatusForbidden,
			denied: `metadata.annotations[tpa.dev/target]: user "bob" may not update deployments.apps/scale "web" in ` +
				`namespace "shop": TPA scales the target of this Service, so who annotates it needs the same right`,
		},
		"who may scale only one of two": {
			user: "ann", new: service(map[string]string{contract.TargetKey: "web,sts/db"}), allow: mayScaleWeb, asked: 2,
			denied: `user "ann" may not update statefulsets.apps/scale "db"`, code: http.StatusForbidden,
		},
		"nobody can say": {
			user: "ann", new: service(target), fails: errors.New("timeout"), asked: 1, code: http.StatusInternalServerError,
			denied: `metadata.annotations[tpa.dev/target]: TPA could not find out whether user "ann" may update ` +
				`deployments.apps/scale "web" in namespace "shop", so nothing was changed; try again: timeout`,
		},
		"a setting of somebody else's": {
			user: "bob", old: service(with(contract.PhaseKey, "Pending")), allow: mayScaleWeb, asked: 1, code: http.StatusForbidden,
			new: service(with(contract.IdleTimeoutKey, "1s")), denied: `user "bob" may not`,
		},
		"something else by somebody else": {
			user: "bob", old: service(with(contract.PhaseKey, "Pending")), new: service(target), patches: true,
			warning: "only TPA itself changes this",
		},
		"TPA itself": {
			user: self, old: service(target), new: service(with(contract.PhaseKey, "Pending")), patches: true,
		},
		"a bad value": {
			user: "ann", new: service(with(contract.IdleTimeoutKey, "5")), code: http.StatusForbidden,
			denied: `metadata.annotations[tpa.dev/idle-timeout]: "5" is not accepted: write a duration from 1s to 720h`,
		},
		"an unknown key": {
			user: "ann", new: service(with("tpa.dev/idel-timeout", "5m")), code: http.StatusForbidden,
			denied: `metadata.annotations[tpa.dev/idel-timeout]: "5m" is not accepted: it is not an annotation of TPA: write one of`,
		},
		"two mistakes": {
			user: "ann", new: service(map[string]string{contract.TargetKey: "", contract.WakeOnKey: "x"}),
			denied: `; metadata.annotations[tpa.dev/wake-on]: "x" is not accepted: write connect or data`, code: http.StatusForbidden,
		},
		"a target that is not there": {
			user: "ann", new: service(map[string]string{contract.TargetKey: "later"}), asked: 1, patches: true,
			allow:   []string{"ann update deployments.apps/scale shop/later"},
			warning: `metadata.annotations[tpa.dev/target]: deployment/later does not exist (yet) in namespace "shop"`,
		},
		"a target that nobody can look for": {
			user: "ann", new: service(map[string]string{contract.TargetKey: "broken"}), asked: 1, patches: true,
			allow: []string{"ann update deployments.apps/scale shop/broken"},
		},
		"on its way out": {
			user: "ann", old: service(target), new: func() *corev1.Service {
				svc := service(target)
				svc.DeletionTimestamp = new(metav1.Now())
				return svc
			}(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reviewer{allow: tt.allow, err: tt.fails}
			h := &Handler{Self: self, Reviews: r, Exists: exists}
			got := h.Handle(t.Context(), request(t, tt.user, tt.old, tt.new))
			if got.Allowed != (tt.denied == "") || !strings.Contains(got.Result.Message, tt.denied) {
				t.Fatalf("allowed %v: %s\nwant %s", got.Allowed, got.Result.Message, tt.denied)
			}
			if !got.Allowed && got.Result.Code != tt.code {
				t.Errorf("code %d, want %d", got.Result.Code, tt.code)
			}
			if len(r.asked) != tt.asked {
				t.Errorf("asked %d times, want %d", len(r.asked), tt.asked)
			}
			if (len(got.Patches) > 0) != tt.patches {
				t.Errorf("patches %v", got.Patches)
			}
			if warnings := strings.Join(got.Warnings, "\n"); !strings.Contains(warnings, tt.warning) || (warnings == "") != (tt.warning == "") {
				t.Errorf("warnings %q, want %q", warnings, tt.warning)
			}
		})
	}
}

// TestReview: the question is about the requesting user with all that the API server knows about them.
func TestReview(t *testing.T) {
	r := &reviewer{}
	h := &Handler{Self: self, Reviews: r}
	h.Handle(t.Context(), request(t, "ann", nil, service(map[string]string{contract.TargetKey: "rollouts.argoproj.io/web"})))
	want := []authorizationv1.SubjectAccessReviewSpec{{
		User: "ann", UID: "7", Groups: []string{"devs"}, Extra: map[string]authorizationv1.ExtraValue{"scopes": {"a", "b"}},
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: "update", Group: "argoproj.io", Resource: "rollouts", Subresource: "scale", Name: "web", Namespace: "shop",
		},
	}}
	if diff := cmp.Diff(want, r.asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNotDecodable(t *testing.T) {
	h := &Handler{Self: self, Reviews: &reviewer{}}
	req := request(t, "ann", service(nil), service(nil))
	req.Object.Raw = []byte("{")
	if got := h.Handle(t.Context(), req); got.Allowed || got.Result.Code != http.StatusBadRequest {
		t.Errorf("got %+v", got)
	}
}
