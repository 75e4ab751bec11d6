//go:build integration

package install

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"
)

// createNamespace makes a Namespace that enforces the restricted pod security standard.
func createNamespace(t *testing.T, name string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted",
	}}}
	must(t, server.Admin.Create(t.Context(), ns))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestInstallYAML: the file holds the kustomize base, and a cluster with cert-manager takes it.
func TestInstallYAML(t *testing.T) {
	file := filepath.Join(os.Getenv("TPA_CLIENTS"), "install.yaml")
	data, err := os.ReadFile(file)
	must(t, err)
	all := parse(t, string(data))
	if diff := difference(base(t), all); len(diff) > 0 {
		t.Errorf("it is not the base: `make install.yaml`: %s", diff)
	}
	// A dry run makes no Namespace for what comes after it.
	there := strings.ReplaceAll(string(data), namespace, "tpa-dry")
	own, err := json.Marshal(parse(t, there)["Namespace/tpa-dry"])
	must(t, err)
	_, err = server.Kubectl(t.Context(), string(own), "apply", "-f", "-")
	must(t, err)
	out, err := server.Kubectl(t.Context(), there, "apply", "--dry-run=server", "-f", "-")
	must(t, err)
	if got := strings.Count(out.Stdout, "(server dry run)\n"); got != len(all) || out.Stderr != "" {
		t.Errorf("of %d objects %d are taken: %s%s", len(all), got, out.Stdout, out.Stderr)
	}
}

// TestRestricted: a namespace that enforces the restricted pod security standard takes each pod that the chart and the base
// hold, with every option.
func TestRestricted(t *testing.T) {
	createNamespace(t, "tpa-restricted")
	loose := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "tpa-restricted", Name: "loose"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}},
	}
	if err := server.Admin.Create(t.Context(), loose, k8s.DryRunAll); err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Fatalf("a pod that may do anything: %v", err)
	}
	check := func(name string, all objects, want int) {
		t.Helper()
		pods := 0
		for key, o := range all {
			if pod := podOf(t, o); pod != nil {
				pods++
				pod.SetNamespace("tpa-restricted")
				if err := server.Admin.Create(t.Context(), pod, k8s.DryRunAll); err != nil {
					t.Errorf("%s: %s: %v", name, key, err)
				}
			}
		}
		if pods != want {
			t.Errorf("%s: %d pods, want %d", name, pods, want)
		}
	}
	check("base", base(t), 1)
	check("chart", rendered(t, "helm4", ""), 2)
	for _, o := range options {
		check(o.name, rendered(t, "helm4", o.values), 2)
	}
}

// podOf is a pod as a workload makes it; nil if the object is no workload.
func podOf(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	template, ok, err := unstructured.NestedMap(o.Object, "spec", "template")
	must(t, err)
	if !ok {
		return nil
	}
	pod := &unstructured.Unstructured{Object: template}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetName("a-pod")
	return pod
}

// TestServerTakesEachOption: what the chart renders, with every option, is valid for the API server, too.
func TestServerTakesEachOption(t *testing.T) {
	createNamespace(t, "tpa-options")
	for _, o := range append(options, option{name: "defaults"}) {
		text, err := template(t, "helm4", "tpa-options", o.values)
		must(t, err)
		out, err := server.Kubectl(t.Context(), text, "apply", "--dry-run=server", "-f", "-")
		if err != nil || out.Stderr != "" {
			t.Errorf("%s: %v %s", o.name, err, out.Stderr)
		}
	}
}
