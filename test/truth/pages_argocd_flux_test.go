//go:build integration

package truth

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
)

// TestServerSidePages: the pages of Argo CD and of Flux.
func TestServerSidePages(t *testing.T) {
	for file, manager := range map[string]string{"argocd.md": "argocd-controller", "flux.md": "kustomize-controller"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			p := openPage(t, file, "page-"+strings.TrimSuffix(file, ".md"))
			service, deployment := p.object("Service"), p.object("Deployment")
			p.apply(service, manager)
			p.apply(deployment, manager)
			p.activate()
			if err := scale(t.Context(), p.namespace, 0); err != nil {
				t.Fatal(err)
			}
			// No drift, no write, and the app sleeps on.
			live := &unstructured.Unstructured{}
			live.SetGroupVersionKind(service.GroupVersionKind())
			if err := server.Admin.Get(t.Context(), k8s.ObjectKeyFromObject(service), live); err != nil {
				t.Fatal(err)
			}
			predicted := p.apply(service, manager, k8s.DryRunAll)
			if predicted.GetResourceVersion() != live.GetResourceVersion() {
				t.Error("the dry run predicts another version")
			}
			p.apply(deployment, manager)
			p.replicas(0)
			// A new selector shows in the prediction.
			other := service.DeepCopy()
			if err := unstructured.SetNestedField(other.Object, "web2", "spec", "selector", "app"); err != nil {
				t.Fatal(err)
			}
			predicted = p.apply(other, manager, k8s.DryRunAll)
			if got := predicted.GetAnnotations()[contract.OriginalKey]; !strings.Contains(got, "web2") {
				t.Errorf("the prediction does not show the new selector: %s", got)
			}
			// Opted out.
			annotations := service.GetAnnotations()
			delete(annotations, contract.TargetKey)
			service.SetAnnotations(annotations)
			p.apply(service, manager)
			p.restored()
		})
	}
}

// TestArgoCDSettings: what the page asks for, and that the default comparison, a three-way merge with last-applied,
// would find every Active Service out of sync.
func TestArgoCDSettings(t *testing.T) {
	p := openPage(t, "argocd.md", "page-argocd-settings")
	app := p.object("Application")
	if got := app.GetAnnotations()["argocd.argoproj.io/compare-options"]; got != "ServerSideDiff=true,IncludeMutationWebhook=true" {
		t.Errorf("compare options %q", got)
	}
	service, err := p.object("Service").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Kubectl(t.Context(), string(service), "apply", "-f", "-", "--field-manager=argocd-controller"); err != nil {
		t.Fatal(err)
	}
	meta, err := strategicpatch.NewPatchMetaFromStruct(corev1.Service{})
	if err != nil {
		t.Fatal(err)
	}
	diff := func() string {
		out, err := server.Kubectl(t.Context(), "", "get", "service", name, "-n", p.namespace, "-o", "json")
		if err != nil {
			t.Fatal(err)
		}
		patch, err := strategicpatch.CreateThreeWayMergePatch(service, service, []byte(out.Stdout), meta, true)
		if err != nil {
			t.Fatal(err)
		}
		return string(patch)
	}
	if got := diff(); got != "{}" {
		t.Errorf("Pending is out of sync: %s", got)
	}
	p.activate()
	if got := diff(); !strings.Contains(got, "selector") {
		t.Errorf("Active is in sync: %s", got)
	}
}

// TestFluxReplicas: taken out of Git, replicas go to the default if Flux set them last, and stay if TPA did.
func TestFluxReplicas(t *testing.T) {
	p := openPage(t, "flux.md", "page-flux-replicas")
	for kind, version := range map[string]string{
		"Kustomization": "kustomize.toolkit.fluxcd.io/v1", "HelmRelease": "helm.toolkit.fluxcd.io/v2",
	} {
		if got := p.object(kind).GetAPIVersion(); got != version {
			t.Errorf("%s of %s, want %s", kind, got, version)
		}
	}
	deployment := p.object("Deployment")
	with := deployment.DeepCopy()
	if err := unstructured.SetNestedField(with.Object, int64(3), "spec", "replicas"); err != nil {
		t.Fatal(err)
	}
	p.apply(with, "kustomize-controller")
	p.replicas(3)
	p.apply(deployment, "kustomize-controller")
	p.replicas(1)

	p.apply(with, "kustomize-controller")
	if err := scale(t.Context(), p.namespace, 0); err != nil {
		t.Fatal(err)
	}
	p.apply(deployment, "kustomize-controller")
	p.replicas(0)
}
