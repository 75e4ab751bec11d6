package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"tpa.dev/tpa/proxy/contract"
)

// rewritten is a Service in the middle of its life, as server-side apply sends it again.
func rewritten(t testing.TB) admission.Request {
	old := service(map[string]string{
		contract.TargetKey: "web", contract.PhaseKey: "Active", contract.PortsKey: "80:20001",
		contract.OriginalKey: `{"selector":{"app":"web"},"targetPorts":{"80":"http"}}`,
	})
	old.Labels = map[string]string{contract.ManagedLabel: contract.ManagedTrue}
	old.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "argocd-controller", Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{"f:tpa.dev/target":{}}},"f:spec":{"f:ports":` +
			`{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{},"f:targetPort":{}}},"f:selector":{}}}`),
	}}
	old.Spec.Selector = contract.ProxySelector()
	old.Spec.Ports[0].TargetPort = intstr.FromInt32(20001)
	incoming := old.DeepCopy()
	incoming.Spec.Selector = map[string]string{"app": "web"}
	incoming.Spec.Ports[0].TargetPort = intstr.FromString("http")
	return request(t, "argocd", old, incoming)
}

// BenchmarkHandle measures the decision beside a handler that always says yes, each with and without HTTP around it.
func BenchmarkHandle(b *testing.B) {
	req := rewritten(b)
	review, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request:  &req.AdmissionRequest,
	})
	if err != nil {
		b.Fatal(err)
	}
	yes := admission.HandlerFunc(func(context.Context, admission.Request) admission.Response { return admission.Allowed("") })
	for name, handler := range map[string]admission.Handler{"tpa": &Handler{Self: self}, "yes": yes} {
		b.Run(name+"/decision", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !handler.Handle(b.Context(), req).Allowed {
					b.Fatal("denied")
				}
			}
		})
		b.Run(name+"/http", func(b *testing.B) {
			b.ReportAllocs()
			hook := &admission.Webhook{Handler: handler}
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, Path, bytes.NewReader(review))
				r.Header.Set("Content-Type", "application/json")
				hook.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}

// TestAllocations keeps the decision cheap: every write to a managed Service pays it. Decoding the two objects is most
// of it.
func TestAllocations(t *testing.T) {
	req := rewritten(t)
	h := &Handler{Self: self}
	decoding := testing.AllocsPerRun(100, func() {
		var old, incoming corev1.Service
		_ = json.Unmarshal(req.OldObject.Raw, &old)
		_ = json.Unmarshal(req.Object.Raw, &incoming)
	})
	all := testing.AllocsPerRun(100, func() { h.Handle(t.Context(), req) })
	t.Logf("%.0f allocations, %.0f of them to decode", all, decoding)
	if limit := decoding + 150; all > limit {
		t.Errorf("%.0f allocations, limit %.0f", all, limit)
	}
}
