package proxy_test

import (
	"os/exec"
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
	args := append([]string{"list", "-deps", "-test=false"}, dataPath...)
	cmd := exec.Command("go", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	deps := strings.Fields(string(out))
	if len(deps) < len(dataPath) {
		t.Fatalf("go list names %d packages, fewer than were asked for", len(deps))
	}
	for _, dep := range deps {
		for prefix, why := range forbidden {
			if strings.HasPrefix(dep+"/", prefix) {
				t.Errorf("the data path (%s) must not import %s, not even indirectly: %s.\n"+
					"What it needs of Kubernetes reaches it as addresses and small functions; see front.Target.",
					strings.Join(dataPath, ", "), dep, why)
			}
		}
	}
}
