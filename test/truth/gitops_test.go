//go:build integration

package truth

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"
)

// serverSideApply sends a manifest as a field manager does that never takes another's fields by force.
func serverSideApply(b batch, m *manifest, manager string, dryRun bool) (*corev1.Service, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	opts := []k8s.PatchOption{k8s.FieldOwner(manager)}
	if dryRun {
		opts = append(opts, k8s.DryRunAll)
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: *m.Namespace, Name: *m.Name}}
	return svc, server.Admin.Patch(b.ctx, svc, k8s.RawPatch(types.ApplyPatchType, data), opts...)
}

// argo is Argo CD with server-side apply and server-side diff: the diff is between what is live and what a dry run
// predicts, and what is out of sync is applied.
func argo(b batch, dryRun bool) (answer, error) {
	a := answer{shown: map[string]*corev1.Service{}}
	for _, d := range b.docs {
		d.manifest.WithAnnotations(map[string]string{"argocd.argoproj.io/tracking-id": "shop:/Service:" + d.namespace + "/" + name})
		svc, err := serverSideApply(b, d.manifest, "argocd-controller", dryRun)
		if err != nil {
			return a, err
		}
		a.shown[d.namespace] = svc
	}
	return a, nil
}

// flux is Flux's kustomize-controller: a dry run first, and a write only where that differs from what is live.
func flux(b batch, dryRun bool) (answer, error) {
	a := answer{shown: map[string]*corev1.Service{}}
	for _, d := range b.docs {
		d.manifest.WithLabels(map[string]string{
			"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
		})
		predicted, err := serverSideApply(b, d.manifest, "kustomize-controller", true)
		if err != nil {
			return a, err
		}
		a.shown[d.namespace] = predicted
		live, err := get(b.ctx, d.namespace)
		if k8s.IgnoreNotFound(err) != nil {
			return a, err
		}
		if dryRun || err == nil && !drifted(live, predicted) {
			continue
		}
		if _, err := serverSideApply(b, d.manifest, "kustomize-controller", false); err != nil {
			return a, err
		}
	}
	return a, nil
}

// drifted is Flux's question: do labels, annotations or anything but metadata and status differ?
func drifted(live, predicted *corev1.Service) bool {
	return !equality.Semantic.DeepEqual(live.Labels, predicted.Labels) ||
		!equality.Semantic.DeepEqual(live.Annotations, predicted.Annotations) ||
		!equality.Semantic.DeepEqual(live.Spec, predicted.Spec)
}
