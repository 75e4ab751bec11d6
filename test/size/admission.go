package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// callAdmission asks TPA, and the webhook that always says yes, about a Service as a server-side apply of its manifest
// sends it again: by HTTPS over a kept connection, one call after the other, as the API server does.
func (b *bench) callAdmission(ctx context.Context, r *report) error {
	review, err := reviewOfApply(ctx, b.server.Admin, namespaceName(0), "web-0")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b.ca)
	caller := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	defer caller.CloseIdleConnections()
	post := func(p *process) func() error { return func() error { return postReview(ctx, caller, p.url(), review) } }

	processes := []*process{b.yes, b.tpa}
	before, err := allocated(ctx, processes)
	if err != nil {
		return err
	}
	r.Admission.Latency, err = compare(b.rounds, b.calls, variant{"always yes", post(b.yes)}, variant{"TPA", post(b.tpa)})
	if err != nil {
		return err
	}
	after, err := allocated(ctx, processes)
	if err != nil {
		return err
	}
	calls := float64(b.rounds * (b.calls + warmUp(b.calls)))
	for i := range processes {
		r.Admission.Allocations = append(r.Admission.Allocations, allocations{
			Name: r.Admission.Latency[i].Name, Objects: (after[i].Objects - before[i].Objects) / calls,
			Bytes: (after[i].Bytes - before[i].Bytes) / calls,
		})
	}
	return nil
}

// allocations are what a process takes from its heap for a call, HTTP and TLS included.
type allocations struct {
	Name    string  `json:"name"`
	Objects float64 `json:"objects"`
	Bytes   float64 `json:"bytes"`
}

// allocated reads what processes have allocated so far.
func allocated(ctx context.Context, processes []*process) ([]allocations, error) {
	result := make([]allocations, len(processes))
	for i, p := range processes {
		m, err := p.scrape(ctx)
		if err != nil {
			return nil, err
		}
		result[i] = allocations{Objects: m.Sum("go_memstats_mallocs_total"), Bytes: m.Sum("go_memstats_alloc_bytes_total")}
	}
	return result, nil
}

// reviewOfApply is what the API server sends for a managed Service whose manifest is applied again: the live Service,
// with the manifest's own selector and targetPort.
func reviewOfApply(ctx context.Context, c client.Client, namespace, name string) ([]byte, error) {
	old := &corev1.Service{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, old); err != nil {
		return nil, err
	}
	old.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Service"))
	incoming := old.DeepCopy()
	incoming.Spec.Selector = map[string]string{"app": name}
	incoming.Spec.Ports[0].TargetPort = intstr.FromString("http")
	request := &admissionv1.AdmissionRequest{
		UID: "7c5d6f4e-0000-4000-8000-000000000000", Operation: admissionv1.Update, Namespace: namespace, Name: name,
		UserInfo: authenticationv1.UserInfo{Username: manager, Groups: []string{"system:authenticated"}},
	}
	var err1, err2 error
	request.OldObject.Raw, err1 = json.Marshal(old)
	request.Object.Raw, err2 = json.Marshal(incoming)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	review := &admissionv1.AdmissionReview{Request: request}
	review.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"))
	return json.Marshal(review)
}

// postReview asks once.
func postReview(ctx context.Context, caller *http.Client, url string, review []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(review))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := caller.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer admissionv1.AdmissionReview
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	if answer.Response == nil || !answer.Response.Allowed {
		return fmt.Errorf("%s: %+v", response.Status, answer.Response)
	}
	return nil
}
