//go:build integration

package install

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	chart     = "../../manifests/chart"
	namespace = "tpa-system"
)

// helms are the Helms that people use, by their folder in $TPA_CLIENTS.
var helms = []string{"helm3", "helm4"}

// client is a program of $TPA_CLIENTS or, kubectl, of $KUBEBUILDER_ASSETS.
func client(name string) string {
	if name == "kubectl" {
		return filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), name)
	}
	if path := filepath.Join(os.Getenv("TPA_CLIENTS"), name, "helm"); strings.HasPrefix(name, "helm") {
		return path
	}
	return filepath.Join(os.Getenv("TPA_CLIENTS"), name)
}

// output runs a program and returns what it printed; the error of one that fails says what it wrote there.
func output(t *testing.T, stdin, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(program), args[0], err, strings.TrimSpace(stderr.String()+stdout.String()))
	}
	return stdout.String(), nil
}

// combined runs a program and returns all that it printed.
func combined(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	return string(out), err
}

// template renders the chart with values in YAML. A Helm that is built from source knows no Kubernetes version by itself.
func template(t *testing.T, helm, namespace, values string) (string, error) {
	t.Helper()
	return output(t, values, client(helm), "template", "tpa", chart, "--namespace="+namespace, "--kube-version=1.36.3", "--values=-")
}

func rendered(t *testing.T, helm, values string) objects {
	t.Helper()
	text, err := template(t, helm, namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

// base is the kustomize base.
func base(t *testing.T) objects {
	t.Helper()
	text, err := output(t, "", client("kubectl"), "kustomize", "../../manifests/base")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

// objects are manifests by "Kind/name".
type objects map[string]*unstructured.Unstructured

func parse(t *testing.T, text string) objects {
	t.Helper()
	all := objects{}
	documents := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := documents.Decode(o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Object) == 0 {
			continue
		}
		key := o.GetKind() + "/" + o.GetName()
		if all[key] != nil {
			t.Fatalf("%s is there twice", key)
		}
		all[key] = o
	}
}

// leaves are the values of an object by their paths.
func leaves(o *unstructured.Unstructured) map[string]string {
	all := map[string]string{}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for key, member := range v {
				walk(path+"."+key, member)
			}
		case []any:
			for i, item := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), item)
			}
		default:
			all[strings.TrimPrefix(path, ".")] = fmt.Sprint(v)
		}
	}
	walk("", o.Object)
	return all
}

// difference tells how objects differ from others, one line for each value: what is only there after a +, what was only
// in the others after a -. An object that only one of them has is one line.
func difference(before, after objects) []string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if after[key] == nil {
			lines = append(lines, "- "+key)
			continue
		}
		was, is := leaves(before[key]), leaves(after[key])
		for _, path := range slices.Sorted(maps.Keys(was)) {
			if value, ok := is[path]; !ok || value != was[path] {
				lines = append(lines, fmt.Sprintf("- %s %s: %s", key, path, was[path]))
			}
		}
		for _, path := range slices.Sorted(maps.Keys(is)) {
			if value, ok := was[path]; !ok || value != is[path] {
				lines = append(lines, fmt.Sprintf("+ %s %s: %s", key, path, is[path]))
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if before[key] == nil {
			lines = append(lines, "+ "+key)
		}
	}
	return lines
}
