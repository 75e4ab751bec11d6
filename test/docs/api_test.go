//go:build integration

package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/apiserver"
)

// TestWalk runs the steps that need no nodes as they stand, with TPA's admission.
func TestWalk(t *testing.T) {
	d := openDesk(t)
	ran := 0
	for _, step := range Walk {
		if !table[step].API {
			continue
		}
		ran++
		out, err := d.run(step)
		if err != nil {
			t.Errorf("%s: %v", step, err)
		}
		if strings.HasSuffix(step, "-o yaml") && !strings.Contains(out, contract.PhaseKey+": ") {
			t.Errorf("%s does not show the phase:\n%s", step, out)
		}
	}
	if ran < 4 {
		t.Errorf("only %d steps ran", ran)
	}
	service := d.service()
	if got := contract.Phase(service.Annotations[contract.PhaseKey]); got != contract.Pending {
		t.Errorf("after the walk the Service is %q, want %q", got, contract.Pending)
	}
	if got := service.Annotations[contract.IdleTimeoutKey]; got != "10m" {
		t.Errorf("after the walk the idle time-out is %q", got)
	}
}

// TestDeploy runs the README's `make deploy` against a kubectl that only renders: the images are those of the registry.
func TestDeploy(t *testing.T) {
	dir := t.TempDir()
	rendered, kubectl := filepath.Join(dir, "rendered.yaml"), filepath.Join(dir, "kubectl")
	// What is not asked here is answered with nothing, and so with success.
	const script = "#!/bin/sh\n[ \"$1 $2\" != \"apply -k\" ] || exec %s kustomize \"$3\" >%s\n"
	if err := os.WriteFile(kubectl, fmt.Appendf(nil, script, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), rendered), 0o700); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, c := range read(t).Commands() {
		if c.Inline || !strings.HasPrefix(c.Text, "make deploy ") {
			continue
		}
		ran++
		if _, err := apiserver.Run(t.Context(), "", "", "env", "-C", root, "-u", "MAKEFLAGS", "bash", "-euc", c.Text+" KUBECTL="+kubectl); err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		text, err := os.ReadFile(rendered)
		if err != nil {
			t.Fatal(err)
		}
		for _, image := range []string{"image: registry.example.com/team/tpa-webhook:dev", "value: registry.example.com/team/tpa-proxy:dev"} {
			if !strings.Contains(string(text), image) {
				t.Errorf("%s applies no %q", c, image)
			}
		}
	}
	if ran == 0 {
		t.Error("no document says `make deploy` with a registry")
	}
}
