//go:build integration

package manifests

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// promtool runs it in a folder.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	clients := os.Getenv("TPA_CLIENTS")
	if clients == "" {
		t.Fatal("TPA_CLIENTS is not set: use make integration")
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(clients, "promtool"), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func write(t *testing.T, file string, groups []ruleGroup) {
	t.Helper()
	data, err := yaml.Marshal(map[string]any{"groups": groups})
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestRules: Prometheus takes the rules, templates included, and each alert fires when it should.
func TestRules(t *testing.T) {
	dir, groups := t.TempDir(), ruleGroups(t)
	write(t, filepath.Join(dir, "whole.yml"), groups)
	promtool(t, dir, "check", "rules", "whole.yml")
	for _, g := range groups {
		for i := range g.Rules {
			g.Rules[i].Annotations = nil
		}
	}
	write(t, filepath.Join(dir, "rules.yml"), groups)
	tests, err := os.ReadFile("monitoring/rules_test.yaml")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "rules_test.yaml"), tests, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "test", "rules", "rules_test.yaml")
}

// TestExpressionsParse: those of the dashboard are PromQL.
func TestExpressionsParse(t *testing.T) {
	group := ruleGroup{Name: "expressions"}
	for i, e := range expressions(t) {
		group.Rules = append(group.Rules, rule{Alert: fmt.Sprint("e", i), Expr: e.text, Labels: map[string]string{"where": e.where}})
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules.yml"), []ruleGroup{group})
	promtool(t, dir, "check", "rules", "rules.yml")
}

// TestMonitoringBuilds: kubectl apply -k takes the folder, and Grafana's sidecar finds the dashboard.
func TestMonitoringBuilds(t *testing.T) {
	kubectl := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", "monitoring").Output()
	if err != nil {
		t.Fatalf("kubectl kustomize: %v", err)
	}
	found := map[string]int{}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(out)))
	for doc, err := reader.Read(); err == nil; doc, err = reader.Read() {
		var object metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(doc, &object); err != nil {
			t.Fatal(err)
		}
		found[object.Kind]++
		if object.Kind == "ConfigMap" && object.Labels["grafana_dashboard"] != "1" {
			t.Errorf("labels %v of the dashboard", object.Labels)
		}
	}
	if found["PodMonitor"] != 2 || found["PrometheusRule"] != 1 || found["ConfigMap"] != 1 || found["Secret"] != 1 {
		t.Errorf("found %v", found)
	}
}
