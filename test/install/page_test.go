//go:build integration

package install

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/apiserver"
)

// TestPage runs each command of the chart's README, and each that Helm then prints.
func TestPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(chart, "README.md"))
	must(t, err)
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllSubmatch(page, -1)
	if len(blocks) != 2 {
		t.Fatalf("the page has %d blocks of commands", len(blocks))
	}
	s := openShop(t, "shop")
	_, err = server.Kubectl(t.Context(), "", "annotate", "service", "web", "-n", "shop", contract.TargetKey+"-")
	must(t, err)
	r := &release{T: t, helm: "helm3"}
	notes, err := r.shell(string(blocks[0][1]))
	must(t, err)
	must(t, r.run("", "upgrade", "tpa", chart, "--reuse-values", "--set=timing.linger=500ms")) // rather than the default of a minute
	r.serve()
	run := 0
	for _, line := range regexp.MustCompile("(?m)^  ((kubectl|helm) .*)$").FindAllStringSubmatch(notes, -1) {
		if line[1] == strings.TrimSpace(strings.ReplaceAll(string(blocks[1][1]), "--namespace", "-n")) {
			run++
			continue // below
		}
		out, err := r.shell(line[1])
		if err != nil {
			t.Fatal(err)
		}
		run++
		if strings.Contains(line[1], "annotate") {
			s.active()
		}
		if strings.Contains(line[1], "jsonpath") && out != "Active\n" {
			t.Errorf("%s prints %q", line[1], out)
		}
	}
	if run != 7 {
		t.Errorf("Helm prints %d commands: %s", run, notes)
	}
	uid := r.uid()
	must(t, r.uninstallBy(func() error { _, err := r.shell(string(blocks[1][1])); return err }))
	if svc := s.service(); svc.Spec.Selector[contract.SelectorKey] != "" {
		t.Errorf("selector %v", svc.Spec.Selector)
	}
	s.noProxy()
	r.gone(uid)
}

// shell runs commands of a page in the repository's root.
func (r *release) shell(commands string) (string, error) {
	kubeconfig, err := server.Kubeconfig("")
	if err != nil {
		return "", err
	}
	path := fmt.Sprintf("PATH=%s:%s:%s", filepath.Dir(client(r.helm)), os.Getenv("KUBEBUILDER_ASSETS"), os.Getenv("PATH"))
	out, err := apiserver.Run(r.Context(), "", kubeconfig, "env", "-C", "../..", path, "bash", "-euc", commands)
	return out.Stdout, err
}
