package services

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// TestEveryFailureToReachTheServerIsNoticed: whatever a proxy wants of an API server that is away, keepers must know.
func TestEveryFailureToReachTheServerIsNoticed(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	m, err := New(&rest.Config{Host: server.URL}, Options{Namespace: "shop", Pod: "a", PodUID: "u"}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.pods.Get(t.Context(), "shop", "web"); !apierrors.IsNotFound(err) {
		t.Errorf("%v, want an answer", err)
	}
	if !m.reach.Lost().IsZero() {
		t.Error("lost although the server is there")
	}
	server.Close()
	if _, err := m.pods.Get(t.Context(), "shop", "web"); err == nil {
		t.Fatal("a server that is closed answers")
	}
	if m.reach.Lost().IsZero() {
		t.Error("nobody noticed")
	}
}
