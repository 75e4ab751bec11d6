//go:build integration

package command

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/apiserver"
)

// manifest reads a file of the kustomize base.
func (s *shop) manifest(name string) []*unstructured.Unstructured {
	s.Helper()
	objects, err := apiserver.Manifest(name)
	s.must(err)
	return objects
}

// available creates a Deployment of the manifests, and says that its pods are available.
func (s *shop) available(d *appsv1.Deployment) {
	s.Helper()
	s.must(server.Admin.Create(s.Context(), d))
	n := *d.Spec.Replicas
	d.Status = appsv1.DeploymentStatus{Replicas: n, ReadyReplicas: n, AvailableReplicas: n}
	s.must(server.Admin.Status().Update(s.Context(), d))
}

// TestCheck: each thing that is missing is told with how to mend it, and when nothing is, the exit code is 0.
func TestCheck(t *testing.T) {
	s := openShop(t)
	got := s.run(t.Context(), "", &buffer{}, "check", "--tpa-namespace=nowhere")
	s.contains(got.out, "✓ Kubernetes v1.", "✗ cert-manager is not installed", "mend: install cert-manager: https://",
		"! TPA is not installed: there is no namespace nowhere", "✓ you may install TPA")
	if got.code != 1 || got.err != "" {
		t.Errorf("without cert-manager: exit code %d, %q", got.code, got.err)
	}

	s.must(server.CertManager(t.Context()))
	s.eventually("the kinds of cert-manager", func() bool {
		return s.run(t.Context(), "", &buffer{}, "check", "--tpa-namespace=nowhere").code == 0
	})
	got = s.run(t.Context(), "", &buffer{}, "check")
	s.contains(got.out, "✓ TPA is installed in namespace tpa-system", "has both entries and their CA bundles",
		"✗ there is no Deployment tpa-webhook in namespace tpa-system", "✓ entry managed.tpa.dev answers (dry run in namespace "+s.ns+")",
		"✓ entry optin.tpa.dev refuses a bad annotation", "✗ the webhook's certificate:")
	if got.code != 1 {
		t.Errorf("without a webhook: exit code %d", got.code)
	}
	var leftover corev1.ServiceList
	s.must(server.Admin.List(t.Context(), &leftover, client.InNamespace(s.ns)))
	if len(leftover.Items) != 0 {
		t.Errorf("the dry runs left %v", leftover.Items)
	}

	s.install()
	if got = s.run(t.Context(), "", &buffer{}, "check"); got.code != 0 || strings.Contains(got.out, "✗") {
		t.Errorf("all is there: exit code %d\n%s%s", got.code, got.out, got.err)
	}
	s.contains(got.out, "✓ 2 of 2 pods of Deployment tpa-webhook are available", "✓ the webhook's certificate is good for",
		"✓ kubectl tpa is v0.1.0, the webhook is tpa.dev/tpa-webhook", "✓ you may annotate Services and scale targets in namespace "+s.ns)
	s.contains(s.does("version"), "TPA: tpa.dev/tpa-webhook")

	for ns, want := range map[string]string{
		"kube-system": "! TPA leaves namespace kube-system alone, so entry managed.tpa.dev is not tried",
		"none":        `! entry managed.tpa.dev is not tried, for want of a dry run in namespace none: namespaces "none" not found`,
	} {
		got := (&shop{t, ns}).run(t.Context(), "", &buffer{}, "check")
		s.contains(got.out, want)
		if got.code != 0 {
			t.Errorf("in %s: exit code %d", ns, got.code)
		}
	}

	s.unreachable()
	got = s.run(t.Context(), s.user(), &buffer{}, "check")
	s.contains(got.out, "! namespace tpa-system:", "! entry managed.tpa.dev is not tried, for want of a dry run in namespace "+s.ns+": services is forbidden",
		"! you may not create Services in a namespace that is opted in, so entry optin.tpa.dev is not tried",
		"! you may not patch services in namespace "+s.ns+", so you cannot annotate Services")
	if got.code != 0 {
		t.Errorf("who may do nothing: exit code %d\n%s", got.code, got.out)
	}
}

// unreachable checks with TPA's webhook at an address where nobody listens.
func (s *shop) unreachable() {
	s.Helper()
	hooks := &admissionv1.MutatingWebhookConfiguration{}
	s.must(server.Admin.Get(s.Context(), client.ObjectKey{Name: "tpa"}, hooks))
	good := hooks.DeepCopy()
	nowhere := "https://127.0.0.1:1/admit-service"
	for i := range hooks.Webhooks {
		hooks.Webhooks[i].ClientConfig.URL = &nowhere
	}
	s.must(server.Admin.Update(s.Context(), hooks))
	defer func() {
		good.ResourceVersion = hooks.ResourceVersion
		s.must(server.Admin.Update(s.Context(), good))
		s.eventually("the webhook answers again", func() bool { return s.run(s.Context(), "", &buffer{}, "check").code == 0 })
	}()
	var said string
	s.eventually("the webhook does not answer", func() bool {
		got := s.run(s.Context(), "", &buffer{}, "check")
		said = got.out
		return got.code == 1 && strings.Contains(got.out, "✗ the API server gets no good answer of entry managed.tpa.dev: ") &&
			strings.Contains(got.out, "✗ the API server gets no good answer of entry optin.tpa.dev: ") &&
			strings.Contains(got.out, "mend: kubectl logs -n tpa-system deployment/tpa-webhook")
	})

	// The README's table of troubles quotes it.
	readme, err := os.ReadFile("../../../../README.md")
	s.must(err)
	quotes := regexp.MustCompile("`(✗ [^`]+)`").FindAllStringSubmatch(string(readme), -1)
	for _, quote := range quotes {
		s.contains(said, quote[1])
	}
	if len(quotes) == 0 {
		s.Error("the README quotes nothing of kubectl tpa check")
	}
}

// install brings what the manifests have besides the rights, as if it ran.
func (s *shop) install() {
	s.Helper()
	for _, object := range s.manifest("deployment.yaml") {
		if object.GetKind() == "Deployment" {
			d := &appsv1.Deployment{}
			s.must(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, d))
			d.Spec.Template.Spec.Containers[0].Image = "tpa.dev/tpa-webhook:v0.1.0"
			s.available(d)
		}
	}
	for _, object := range s.manifest("certificate.yaml") {
		s.must(server.Admin.Create(s.Context(), object))
		if object.GetKind() == "Certificate" {
			object.Object["status"] = map[string]any{
				"notAfter":   time.Now().Add(20 * 24 * time.Hour).UTC().Format(time.RFC3339),
				"conditions": []any{map[string]any{"type": "Ready", "status": "True"}},
			}
			s.must(server.Admin.Status().Update(s.Context(), object))
		}
	}
}

// TestUninstall: it waits until nothing is managed any more, and says what to do then.
func TestUninstall(t *testing.T) {
	s := openShop(t)
	s.fails("", "error: there is no namespace nowhere: TPA is not installed", "uninstall", "--tpa-namespace=nowhere")
	s.app("web", 1)
	s.fails(s.user(), "error: list the managed services: services is forbidden", "uninstall")
	own := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: apiserver.Namespace}}
	defer func() {
		s.must(server.Admin.Patch(t.Context(), own, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"`+contract.UninstallLabel+`":null}}}`))))
	}()
	s.must(server.Admin.Get(t.Context(), client.ObjectKeyFromObject(own), own))
	if asked, ok := own.Labels[contract.UninstallLabel]; ok {
		t.Errorf("who may not see what is left has asked for it: %q", asked)
	}
	s.fails("", "TPA still holds:\n  service "+s.ns+"/web (Active)\nNothing was removed.", "uninstall", "--timeout=1s")
	s.must(server.Admin.Get(t.Context(), client.ObjectKeyFromObject(own), own))
	if own.Labels[contract.UninstallLabel] != contract.UninstallTrue {
		t.Errorf("labels %v: TPA is not asked to give Services back", own.Labels)
	}
	self := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.Namespace, Name: "tpa-webhook"}}
	s.must(server.Admin.Get(t.Context(), client.ObjectKeyFromObject(self), self))
	for label, want := range map[string]string{
		contract.UninstallTrue: "! TPA is being uninstalled", string(self.UID): "! TPA is being uninstalled", "of-another": "✓ TPA is installed",
	} {
		own.Labels[contract.UninstallLabel] = label
		s.must(server.Admin.Update(t.Context(), own))
		s.contains(s.run(t.Context(), "", &buffer{}, "check").out, want)
	}
	var services corev1.ServiceList
	s.must(server.Admin.List(t.Context(), &services, client.MatchingLabels{contract.ManagedLabel: contract.ManagedTrue}))
	done, out := make(chan result, 1), &buffer{}
	go func() { done <- s.run(t.Context(), "", out, "uninstall", "--timeout=1m") }()
	s.eventually("progress", func() bool { return strings.Contains(out.String(), "restoring: ") })
	for i := range services.Items {
		s.must(server.Admin.Delete(t.Context(), &services.Items[i]))
	}
	got := <-done
	s.contains(got.out, "every Service is awake and as it was", "kubectl delete mutatingwebhookconfiguration tpa", "kubectl delete -k manifests/base")
	if got.code != 0 {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
}
