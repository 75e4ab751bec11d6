//go:build integration

package truth

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/apiserver"
)

// recorder is an admission of its own that the API server asks before TPA: it lets everything pass and keeps what users
// send, as TPA sees it.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	last map[string]*corev1.Service // by namespace
}

func record(ctx context.Context) (*recorder, error) {
	r := &recorder{last: map[string]*corev1.Service{}}
	r.Server = httptest.NewTLSServer(r)
	none, never := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.NeverReinvocationPolicy
	err := server.Admin.Create(ctx, &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "before-tpa"}, // configurations are asked in the order of their names
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "recorder.example.com",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL:      &r.URL,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}),
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"services"}},
			}},
			SideEffects:             &none,
			ReinvocationPolicy:      &never,
			AdmissionReviewVersions: []string{"v1"},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("configure the recorder: %w", err)
	}
	return r, r.wait(ctx)
}

// wait sends Services, in dry run, until the recorder is asked about one.
func (r *recorder) wait(ctx context.Context) error {
	const namespace = "wait-for-recorder"
	if err := createNamespace(ctx, namespace, false); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		probe := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}
		if err := server.Admin.Create(ctx, probe, k8s.DryRunAll); err != nil {
			return false, err
		}
		return r.Last(namespace) != nil, nil
	})
}

// Last is what a user sent last for the Service of a namespace; nil when nobody did since Forget.
func (r *recorder) Last(namespace string) *corev1.Service {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[namespace]
}

// Forget begins anew.
func (r *recorder) Forget(namespace string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, namespace)
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var review admissionv1.AdmissionReview
	svc := &corev1.Service{}
	if err := json.NewDecoder(req.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := json.Unmarshal(review.Request.Object.Raw, svc); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if review.Request.UserInfo.Username != apiserver.Self {
		r.mu.Lock()
		r.last[review.Request.Namespace] = svc
		r.mu.Unlock()
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	review.Request = nil
	_ = json.NewEncoder(w).Encode(review) // the API server reports what it cannot read
}
