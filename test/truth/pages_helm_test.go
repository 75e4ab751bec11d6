//go:build integration

package truth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/apiserver"
)

// TestHelmPage runs the page's commands on the page's chart, with both Helms.
func TestHelmPage(t *testing.T) {
	for helm, flags := range map[string][]string{"helm3": {""}, "helm4": {" --server-side=true", " --server-side=false"}} {
		for i, flag := range flags {
			t.Run(helm+flag, func(t *testing.T) {
				t.Parallel()
				p := openPage(t, "helm.md", fmt.Sprintf("page-%s-%d", helm, i))
				chart := map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n"}
				for _, block := range p.blocks["yaml"] {
					file, _, _ := strings.Cut(strings.TrimPrefix(block, "# "), "\n")
					chart[file] = block
				}
				dir := t.TempDir()
				writeChart(t, dir, chart)
				commands := p.blocks["sh"]
				if len(commands) != 3 {
					t.Fatalf("the page has %d blocks of commands", len(commands))
				}
				run := func(block string) error {
					for _, command := range strings.Split(strings.TrimSpace(block), "\n") {
						command = strings.Replace(command, "--namespace shop", "--namespace "+p.namespace, 1) + flag
						if err := shell(t.Context(), dir, helm, command); err != nil {
							return err
						}
					}
					return nil
				}
				must := func(err error) {
					t.Helper()
					if err != nil {
						t.Fatal(err)
					}
				}
				must(run(commands[0]))
				p.activate()
				must(scale(t.Context(), p.namespace, 0))
				must(run(commands[1]))
				p.replicas(0)
				if err := fits(p.service(), contract.Active); err != nil {
					t.Error(err)
				}
				must(run(commands[2]))
				p.restored()

				// With replicas in the chart, an upgrade wakes the app.
				must(scale(t.Context(), p.namespace, 0))
				chart["templates/deployment.yaml"] = strings.Replace(chart["templates/deployment.yaml"], "spec:\n", "spec:\n  replicas: 2\n", 1)
				writeChart(t, dir, chart)
				must(run("helm upgrade web . --namespace shop"))
				p.replicas(2)
			})
		}
	}
}

func writeChart(t *testing.T, dir string, chart map[string]string) {
	t.Helper()
	for file, text := range chart {
		file = filepath.Join(dir, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// shell runs a command of a page in a folder, with one of the two Helms.
func shell(ctx context.Context, dir, helm, command string) error {
	kubeconfig, err := server.Kubeconfig("")
	if err != nil {
		return err
	}
	path := filepath.Join(os.Getenv("TPA_CLIENTS"), helm) + ":" + os.Getenv("KUBEBUILDER_ASSETS") + ":" + os.Getenv("PATH")
	_, err = apiserver.Run(ctx, "", kubeconfig, "env", "-C", dir, "PATH="+path, "bash", "-euc", command)
	return err
}
