//go:build integration

package apiserver_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/apiserver"
)

// TestStart: clients reach the server, and TPA is asked about the Services that ask for it and no other.
func TestStart(t *testing.T) {
	ctx := t.Context()
	s, err := apiserver.Start(ctx, apiserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, ns := range []*corev1.Namespace{
		{ObjectMeta: metav1.ObjectMeta{Name: "in", Labels: map[string]string{contract.InjectLabel: contract.InjectEnabled}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "out"}},
	} {
		if err := s.Admin.Create(ctx, ns); err != nil {
			t.Fatal(err)
		}
	}
	const manifest = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","annotations":{"tpa.dev/target":"web"}},
		"spec":{"selector":{"app":"web"},"ports":[{"port":80}]}}`
	for ns, want := range map[string]string{"in": "Pending", "out": ""} {
		if _, err := s.Kubectl(ctx, manifest, "-n", ns, "apply", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		out, err := s.Kubectl(ctx, "", "-n", ns, "get", "service", "web", "-o", `jsonpath={.metadata.annotations.tpa\.dev/phase}`)
		if err != nil || out.Stdout != want {
			t.Errorf("namespace %s: phase %q, want %q; %v", ns, out.Stdout, want, err)
		}
	}
	_, err = s.Kubectl(ctx, strings.Replace(manifest, `"tpa.dev/target":"web"`, `"tpa.dev/target":"/"`, 1), "-n", "in", "apply", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), `"/" is not accepted`) {
		t.Errorf("a bad target: %v", err)
	}
}
