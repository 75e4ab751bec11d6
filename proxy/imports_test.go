package proxy_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// dataPath are the packages that every byte of a managed Service passes through.
var dataPath = []string{"./tcp", "./listen", "./hold", "./backend", "./relay", "./front"}

// forbidden are import path prefixes, and why the data path does without.
var forbidden = map[string]string{
	"k8s.io/":                               "awake Services keep serving when the API server is down",
	"sigs.k8s.io/":                          "awake Services keep serving when the API server is down",
	"github.com/prometheus/":                "the data path counts in atomics, whoever exports them reads those",
	"go.uber.org/zap/":                      "the data path logs nothing, it reports through hooks",
	"github.com/go-logr/":                   "the data path logs nothing, it reports through hooks",
	"tpa.dev/tpa/webhook":                   "the proxy and the webhook share only the contract",
	"google.golang.org/":                    "only the Kubernetes client needs it",
	"github.com/cert-manager/cert-manager/": "certificates are the webhook's",
}

func TestDataPathImports(t *testing.T) {
	for _, dep := range dependencies(t, dataPath...) {
		for prefix, why := range forbidden {
			if strings.HasPrefix(dep+"/", prefix) {
				t.Errorf("the data path (%s) must not import %s, not even indirectly: %s.\n"+
					"What it needs of Kubernetes reaches it as addresses and small functions; see front.Target.",
					strings.Join(dataPath, ", "), dep, why)
			}
		}
	}
}

// heavy are packages that register every kind of Kubernetes, or import one that does.
var heavy = []string{
	"sigs.k8s.io/controller-runtime/", "k8s.io/client-go/kubernetes/", "k8s.io/client-go/discovery/", "k8s.io/client-go/dynamic/",
	"k8s.io/client-go/scale/", "k8s.io/client-go/applyconfigurations/", "github.com/google/gnostic-models/",
}

func TestProxyImportsNoClientOfEveryKind(t *testing.T) {
	for _, dep := range dependencies(t, "../cmd/proxy") {
		if slices.ContainsFunc(heavy, func(prefix string) bool { return strings.HasPrefix(dep+"/", prefix) }) {
			t.Errorf("the proxy must not import %s, not even indirectly: it costs megabytes in each namespace. See package kube.", dep)
		}
	}
}

// dependencies returns what packages import, directly or not, and themselves.
func dependencies(t *testing.T, packages ...string) []string {
	t.Helper()
	args := append([]string{"list", "-deps", "-test=false"}, packages...)
	cmd := exec.Command("go", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	deps := strings.Fields(string(out))
	if len(deps) < len(packages) {
		t.Fatalf("go list names %d packages, fewer than were asked for", len(deps))
	}
	return deps
}
