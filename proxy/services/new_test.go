package services

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestEveryFailureToReachTheServerIsNoticed: whatever a proxy wants of an API server that is away, keepers must know.
func TestEveryFailureToReachTheServerIsNoticed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(discovery))
	defer server.Close()
	m, err := New(&rest.Config{Host: server.URL}, Options{Namespace: "shop", Pod: "a", PodUID: "u"}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if !m.reach.Lost().IsZero() {
		t.Error("lost although the server is there")
	}
	server.Close()
	if err := m.client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "web"}, &corev1.Service{}); err == nil {
		t.Fatal("a server that is closed answers")
	}
	if m.reach.Lost().IsZero() {
		t.Error("nobody noticed")
	}
}

// discovery answers what New asks: which resources there are.
func discovery(w http.ResponseWriter, r *http.Request) {
	answers := map[string]string{
		"/api": `{"kind":"APIVersions","versions":["v1"]}`,
		"/api/v1": `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"pods","kind":"Pod","namespaced":true},` +
			`{"name":"services","kind":"Service","namespaced":true}]}`,
		"/apis": `{"kind":"APIGroupList","groups":[{"name":"coordination.k8s.io","versions":[{"groupVersion":"coordination.k8s.io/v1",` +
			`"version":"v1"}]}]}`,
		"/apis/coordination.k8s.io/v1": `{"kind":"APIResourceList","groupVersion":"coordination.k8s.io/v1","resources":` +
			`[{"name":"leases","kind":"Lease","namespaced":true}]}`,
	}
	answer, ok := answers[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, answer)
}
