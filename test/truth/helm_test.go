//go:build integration

package truth

import (
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"tpa.dev/tpa/test/apiserver"
)

// helm is a Helm that installs and upgrades a release of a chart that holds the manifests. Its dry run renders them, and
// sends nothing.
func helm(name, version string, flags ...string) client {
	run := func(b batch, command string) (answer, error) {
		chart := filepath.Join(b.dir, "chart")
		files := map[string][]byte{"Chart.yaml": []byte("apiVersion: v2\nname: web\nversion: 0.1.0\n")}
		for i, d := range b.docs {
			text, err := yaml.Marshal(d.manifest)
			if err != nil {
				return answer{}, err
			}
			files[fmt.Sprintf("templates/%d.yaml", i)] = text
		}
		if err := os.MkdirAll(filepath.Join(chart, "templates"), 0o700); err != nil {
			return answer{}, err
		}
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(chart, file), text, 0o600); err != nil {
				return answer{}, err
			}
		}
		kubeconfig, err := server.Kubeconfig("")
		if err != nil {
			return answer{}, err
		}
		program := filepath.Join(os.Getenv("TPA_CLIENTS"), version, "helm")
		out, err := apiserver.Run(b.ctx, "", kubeconfig, program,
			append([]string{command, "web", chart, "-n", b.docs[0].namespace}, flags...)...)
		return answer{warnings: warnings(out.Stderr)}, err
	}
	return client{
		name:     name,
		create:   func(b batch) (answer, error) { return run(b, "install") },
		send:     func(b batch, _ bool) (answer, error) { return run(b, "upgrade") },
		noDryRun: true,
		whole:    true,
	}
}
