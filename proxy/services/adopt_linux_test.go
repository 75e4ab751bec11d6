package services

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"
	"k8s.io/client-go/rest"

	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// BenchmarkAdopt is what a change of a Pod costs that is none to most Services.
func BenchmarkAdopt(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer server.Close()
	m, err := New(&rest.Config{Host: server.URL}, Options{
		Namespace: namespace, Pod: "a", PodUID: "u", Loops: tcptest.Loops(b, 1), MaxHeld: 1, MaxConnections: 1, Descriptors: 1000, Linger: time.Minute,
	}, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { m.stopKeeping(); m.keepers.Wait() }()
	w := many(1000)
	m.adopt(w)
	b.ReportAllocs()
	for b.Loop() {
		m.adopt(w)
	}
}
