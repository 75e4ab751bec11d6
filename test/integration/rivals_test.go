//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/webhook/admission"
)

// rivals are the kinds that change Services and replicas beside TPA. They are not installed but by TestRivals.
var rivals = []struct{ group, version, plural, kind string }{
	{"argoproj.io", "v1alpha1", "rollouts", "Rollout"},
	{"flagger.app", "v1beta1", "canaries", "Canary"},
	{"keda.sh", "v1alpha1", "scaledobjects", "ScaledObject"},
}

// crd is a definition that takes any object; scales gives it a /scale.
func crd(group, version, plural, kind string, scales bool) string {
	subresources := "{}"
	if scales {
		subresources = `{"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas"}}`
	}
	return fmt.Sprintf(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"%[3]s.%[1]s"},
		"spec":{"group":%[1]q,"scope":"Namespaced","names":{"plural":%[3]q,"kind":%[4]q,"singular":%[5]q},
		"versions":[{"name":%[2]q,"served":true,"storage":true,"subresources":%[6]s,
		"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`,
		group, version, plural, kind, strings.ToLower(kind), subresources)
}

// install brings kinds, which go with the test.
func (s *shop) install(definitions ...string) {
	s.Helper()
	for _, definition := range definitions {
		s.passes(definition, "apply", "-f", "-")
		s.passes(definition, "wait", "--for=condition=Established", "--timeout=30s", "-f", "-")
		s.Cleanup(func() {
			if _, err := server.Kubectl(context.WithoutCancel(s.Context()), definition, "delete", "-f", "-"); err != nil {
				s.Error(err)
			}
		})
	}
}

// TestRivals: another controller that changes the Service's selector or scales its target.
func TestRivals(t *testing.T) {
	t.Run("none is installed", func(t *testing.T) {
		s := openShop(t)
		s.passes(s.yaml(s.manifest(contract.TargetKey+"=web")), "create", "-f", "-")
	})
	all := openShop(t)
	for _, r := range rivals {
		all.install(crd(r.group, r.version, r.plural, r.kind, r.kind == "Rollout"))
	}
	const (
		rollout = `{"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout","metadata":{"name":"x"},"spec":{"strategy":%s}}`
		canary  = `{"apiVersion":"flagger.app/v1beta1","kind":"Canary","metadata":{"name":"x"},"spec":%s}`
		scaled  = `{"apiVersion":"keda.sh/v1alpha1","kind":"ScaledObject","metadata":{"name":"x"},"spec":{"scaleTargetRef":%s}}`
		paused  = `{"apiVersion":"keda.sh/v1alpha1","kind":"ScaledObject","metadata":{"name":"x","annotations":{"autoscaling.keda.sh/paused":"true"}},"spec":{"scaleTargetRef":%s}}`

		byArgo    = `metadata.name: "web" is not accepted: Argo Rollouts changes this Service's selector itself, as Rollout "x" asks in spec.strategy.%s: annotate a Service that it does not switch, or remove tpa.dev/target`
		byFlagger = `metadata.name: "web" is not accepted: Flagger changes this Service's selector itself, as Canary "x" asks: annotate a Service that it does not switch, or remove tpa.dev/target`
		byKEDA    = `metadata.annotations[tpa.dev/target]: %q is not accepted: KEDA scales %s, as ScaledObject "x" asks, and would scale against TPA: delete that, write another target, or remove tpa.dev/target`
	)
	keda := func(written, target string) string { return fmt.Sprintf(byKEDA, written, target) }
	for _, tt := range []struct {
		target, rival, spec string
		want                string // empty: it is no rival
	}{
		{"web", rollout, `{"canary":{"stableService":"web","canaryService":"web-next"}}`, fmt.Sprintf(byArgo, "canary.stableService")},
		{"web", rollout, `{"canary":{"stableService":"web-now","canaryService":"web"}}`, fmt.Sprintf(byArgo, "canary.canaryService")},
		{"web", rollout, `{"canary":{"pingPong":{"pingService":"web","pongService":"gnop"}}}`, fmt.Sprintf(byArgo, "canary.pingPong.pingService")},
		{"web", rollout, `{"blueGreen":{"activeService":"web"}}`, fmt.Sprintf(byArgo, "blueGreen.activeService")},
		{"web", rollout, `{"blueGreen":{"activeService":"live","previewService":"web"}}`, fmt.Sprintf(byArgo, "blueGreen.previewService")},
		{"rollouts.argoproj.io/x", rollout, `{"canary":{"steps":[{"setWeight":20}]}}`, ""},
		{"web", rollout, `{"canary":{"stableService":"other"}}`, ""},
		{"web", canary, `{"targetRef":{"kind":"Deployment","name":"web"},"service":{"port":80}}`, byFlagger},
		{"web", canary, `{"targetRef":{"kind":"Deployment","name":"podinfo"},"service":{"name":"web"}}`, byFlagger},
		{"web", canary, `{"targetRef":{"kind":"Deployment","name":"web"},"service":{"name":"other"}}`, ""},
		{"web", canary, `{"targetRef":{"kind":"Service","name":"web"}}`, ""},
		{"web", scaled, `{"name":"web"}`, keda("web", "deployment/web")},
		{"web", paused, `{"name":"web"}`, keda("web", "deployment/web")},
		{"deploy/web", scaled, `{"name":"web","apiVersion":"apps/v1","kind":"Deployment"}`, keda("deploy/web", "deployment/web")},
		{"web,statefulset/db", scaled, `{"name":"db","kind":"StatefulSet"}`, keda("web,statefulset/db", "statefulset/db")},
		{"rollouts.argoproj.io/web", scaled, `{"name":"web","apiVersion":"argoproj.io/v1alpha1","kind":"Rollout"}`, keda("rollouts.argoproj.io/web", "rollouts.argoproj.io/web")},
		{"web", scaled, `{"name":"web","kind":"StatefulSet"}`, ""},
		{"web", scaled, `{"name":"other"}`, ""},
	} {
		t.Run(tt.target+" "+tt.spec, func(t *testing.T) {
			s := openShop(t)
			s.passes(s.yaml(s.manifest()), "create", "-f", "-")
			other := openShop(t) // a rival elsewhere is none
			other.passes(fmt.Sprintf(tt.rival, tt.spec), "create", "-f", "-")
			target := contract.TargetKey + "=" + tt.target
			s.passes("", "annotate", "--dry-run=server", "service", "web", target)

			s.passes(fmt.Sprintf(tt.rival, tt.spec), "create", "-f", "-")
			created := s.manifest(target)
			if tt.want == "" {
				s.passes(s.yaml(created), "apply", "--server-side", "--force-conflicts", "-f", "-")
				return
			}
			s.fails(tt.want, "", "annotate", "service", "web", target)
			s.passes("", "delete", "service", "web")
			s.fails(tt.want, s.yaml(created), "create", "-f", "-")
		})
	}
	t.Run("primary and canary", func(t *testing.T) {
		s := openShop(t)
		s.passes(fmt.Sprintf(canary, `{"targetRef":{"kind":"Deployment","name":"web"}}`), "create", "-f", "-")
		for _, name := range []string{"web-primary", "web-canary"} {
			svc := s.manifest(contract.TargetKey + "=web")
			svc.Name = name
			s.fails(strings.Replace(byFlagger, `"web"`, fmt.Sprintf("%q", name), 1), s.yaml(svc), "create", "-f", "-")
		}
	})
	t.Run("later", func(t *testing.T) {
		testRivalLater(openShop(t), fmt.Sprintf(scaled, `{"name":"web"}`), keda("web", "deployment/web"))
	})
	t.Run("requests", testRivalsCost)
}

// testRivalLater: a rival that comes after the opt-in is found when the targets or settings are changed next, and holds
// nobody else up.
func testRivalLater(s *shop, rival, want string) {
	s.active()
	s.passes(rival, "create", "-f", "-")
	s.fails(want, "", "annotate", "service", "web", contract.IdleTimeoutKey+"=5m")
	s.passes("", "label", "service", "web", "team=a")
	s.passes("", "patch", "service", "web", "-p", `{"spec":{"type":"NodePort"}}`)
	s.phase("web", contract.Pending, contract.Ports{80: 20001})
	s.phase("web", contract.Active, contract.Ports{80: 20001})
	s.passes("", "annotate", "service", "web", contract.TargetKey+"-")
	s.fails(want, "", "annotate", "service", "web", contract.TargetKey+"=web")
	s.phase("web", "", nil)
}

// requests counts what passes through a client.
type requests struct {
	next  http.RoundTripper
	mu    sync.Mutex
	paths []string
}

func (r *requests) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.paths = append(r.paths, req.Method+" "+req.URL.Path)
	r.mu.Unlock()
	return r.next.RoundTrip(req)
}

func (r *requests) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	paths := r.paths
	r.paths = nil
	return paths
}

// handler is TPA's, with the rights of a user, and counts its requests.
func (s *shop) handler(user string, groups ...string) (*admission.Handler, *requests) {
	s.Helper()
	config, err := server.As(user, groups...)
	s.must(err)
	sent := &requests{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { sent.next = next; return sent })
	httpClient, err := rest.HTTPClientFor(config)
	s.must(err)
	mapper, err := apiutil.NewDynamicRESTMapper(config, httpClient)
	s.must(err)
	handler, err := admission.New(config, httpClient, mapper, apiserver.Self)
	s.must(err)
	return handler, sent
}

// optIn is the request of somebody who creates an annotated Service.
func (s *shop) optIn() ctrladmission.Request {
	s.Helper()
	object, err := json.Marshal(s.manifest(contract.TargetKey + "=web"))
	s.must(err)
	req := ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Operation: admissionv1.Create, Namespace: s.ns, Name: "web", Object: runtime.RawExtension{Raw: object},
	}}
	req.UserInfo.Username, req.UserInfo.Groups = "administrator", []string{"system:masters"}
	return req
}

// testRivalsCost: an opt-in costs one request for each kind, and nothing else does.
func testRivalsCost(t *testing.T) {
	s := openShop(t)
	h, sent := s.handler(apiserver.Self)
	if got := h.Handle(t.Context(), s.optIn()); !got.Allowed {
		t.Fatal(got.Result.Message)
	}
	sent.take() // what is discovered once
	took := time.Now()
	const rounds = 50
	for range rounds {
		h.Handle(t.Context(), s.optIn())
	}
	with := time.Since(took) / rounds
	paths := sent.take()
	lists := 0
	for _, path := range paths {
		if strings.HasPrefix(path, "GET /apis/") && strings.Contains(path, s.ns+"/") && !strings.HasSuffix(path, "/scale") {
			lists++
		}
	}
	if lists != rounds*len(rivals) {
		t.Errorf("%d lists in %d opt-ins, want %d: %q", lists, rounds, rounds*len(rivals), paths[:10])
	}
	h.Rivals = nil
	took = time.Now()
	for range rounds {
		h.Handle(t.Context(), s.optIn())
	}
	t.Logf("an opt-in takes %s, %s without the search; %q", with, time.Since(took)/rounds, paths[:len(paths)/rounds])

	update := s.optIn()
	update.Operation = admissionv1.Update
	old := s.manifest(contract.TargetKey+"=web", contract.PhaseKey+"=Pending")
	var err error
	update.OldObject.Raw, err = json.Marshal(old)
	s.must(err)
	sent.take()
	if got := h.Handle(t.Context(), update); !got.Allowed || len(sent.take()) > 0 {
		t.Errorf("an update asks the API server, or is refused: %v", got.Result)
	}
}

// TestRivalsUnknown: who cannot find out rejects, and says what to do.
func TestRivalsUnknown(t *testing.T) {
	s := openShop(t)
	s.grant("blind", "ClusterRole",
		rbacv1.PolicyRule{APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}, Verbs: []string{"create"}})
	h, _ := s.handler("blind")
	got := h.Handle(t.Context(), s.optIn())
	const want = `TPA could not find out whether another controller changes Service "web" or scales its target, so nothing was changed; try again: list `
	if got.Allowed || got.Result.Code != http.StatusInternalServerError || !strings.Contains(got.Result.Message, want) {
		t.Errorf("%+v\nwant %s", got.Result, want)
	}
}
