package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"tpa.dev/tpa/webhook/admission"
)

const service = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop","annotations":` +
	`{"tpa.dev/target":"web"}},"spec":{"selector":{"app":"web"},"ports":[{"port":80,"protocol":"TCP","targetPort":"http"}]}}`

// TestServes runs the webhook server with a real certificate and a stand-in for the API server: it is ready when TLS is
// answered and not before, it asks who may scale, and it still answers while it lingers.
func TestServes(t *testing.T) {
	log.SetLogger(zap.New(zap.WriteTo(t.Output())))
	api := httptest.NewServer(http.HandlerFunc(standIn))
	defer api.Close()

	roots, dir := newCertificate(t)
	opts := options{
		metricsAddress: freeAddress(t), metricsSecure: true, probeAddress: freeAddress(t), certDir: dir, namespace: "tpa-system", serviceAccount: "tpa-webhook",
	}
	address := freeAddress(t)
	if _, err := fmt.Sscanf(address, "127.0.0.1:%d", &opts.webhookPort); err != nil {
		t.Fatal(err)
	}
	mgr, err := newManager(&rest.Config{Host: api.URL}, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if err := serveAdmission(ctx, mgr, prometheus.NewRegistry(), opts); err != nil {
		t.Fatal(err)
	}
	if err := mgr.GetWebhookServer().StartedChecker()(nil); err == nil {
		t.Error("ready before it serves")
	}

	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(linger(ctx, 2*time.Second)) }()
	until(t, "ready", func() bool {
		response, err := http.Get("http://" + opts.probeAddress + "/readyz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})

	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
	}}
	admit(t, client, address)
	response, err := client.Get("https://" + opts.metricsAddress + "/metrics") // which the same certificate is for
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode == http.StatusOK {
		t.Error("somebody without a token may read the metrics")
	}
	stop()
	admit(t, client, address)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := client.Get("https://" + address); err == nil {
		t.Error("it serves after its end")
	}
}

// standIn answers what the webhook asks of an API server: which resources there are, and who may do what.
func standIn(w http.ResponseWriter, r *http.Request) {
	resources := map[string]map[string]string{ // group version: resource: kind
		"v1":                           {"services": "Service", "pods": "Pod", "serviceaccounts": "ServiceAccount"},
		"apps/v1":                      {"deployments": "Deployment"},
		"policy/v1":                    {"poddisruptionbudgets": "PodDisruptionBudget"},
		"coordination.k8s.io/v1":       {"leases": "Lease"},
		"rbac.authorization.k8s.io/v1": {"rolebindings": "RoleBinding"},
	}
	var answer any
	switch path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/apis"), "/api"); {
	case r.URL.Path == "/api":
		answer = metav1.APIVersions{Versions: []string{"v1"}}
	case r.URL.Path == "/apis":
		var groups metav1.APIGroupList
		for gv := range resources {
			if group, _, ok := strings.Cut(gv, "/"); ok {
				version := metav1.GroupVersionForDiscovery{GroupVersion: gv, Version: "v1"}
				groups.Groups = append(groups.Groups, metav1.APIGroup{
					Name: group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version,
				})
			}
		}
		answer = groups
	case resources[strings.TrimPrefix(path, "/")] != nil:
		list := metav1.APIResourceList{GroupVersion: path[1:]}
		for name, kind := range resources[path[1:]] {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: name, Kind: kind, Namespaced: true})
		}
		answer = list
	case path == "/authorization.k8s.io/v1/subjectaccessreviews":
		answer = authorizationv1.SubjectAccessReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview"},
			Status:   authorizationv1.SubjectAccessReviewStatus{Allowed: true},
		}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func admit(t *testing.T, client *http.Client, address string) {
	t.Helper()
	review, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "u", Operation: admissionv1.Create, Namespace: "shop", Object: runtime.RawExtension{Raw: []byte(service)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Post("https://"+address+admission.Path, "application/json", bytes.NewReader(review))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer admissionv1.AdmissionReview
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if answer.Response == nil || !answer.Response.Allowed || len(answer.Response.Patch) == 0 {
		t.Errorf("answer %+v", answer.Response)
	}
}

// newCertificate makes a certificate for 127.0.0.1 and puts it where the webhook looks.
func newCertificate(t *testing.T) (*x509.CertPool, string) {
	t.Helper()
	crt, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"tls.crt": crt, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(crt)
	return roots, dir
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s within 20 s", what)
		}
	}
}
