package rewrite

import (
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// lastAppliedSelector returns the selector of the manifest that client-side apply used last; false where it never did.
func lastAppliedSelector(svc *corev1.Service) (map[string]string, bool) {
	text, ok := svc.Annotations[corev1.LastAppliedConfigAnnotation]
	if !ok {
		return nil, false
	}
	var manifest struct {
		Spec struct {
			Selector map[string]string `json:"selector"`
		} `json:"spec"`
	}
	if json.Unmarshal([]byte(text), &manifest) != nil {
		return nil, false
	}
	// An exported YAML that is applied carries it.
	delete(manifest.Spec.Selector, contract.SelectorKey)
	return manifest.Spec.Selector, true
}

// sentByHelm reports whether the selector of this request comes from a Helm client. The API server notes the owner of
// each field before it asks us, and whoever changes a selector becomes its one owner: helm, helm-controller (Flux),
// terraform-provider-helm.
func sentByHelm(svc *corev1.Service) bool {
	for _, entry := range svc.ManagedFields {
		if strings.Contains(strings.ToLower(entry.Manager), "helm") && entry.FieldsV1 != nil {
			var fields struct {
				Spec struct {
					Selector json.RawMessage `json:"f:selector"`
				} `json:"f:spec"`
			}
			if json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) == nil && fields.Spec.Selector != nil {
				return true
			}
		}
	}
	return false
}
