// Package manifests tests what the YAML files beside it promise.
package manifests

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"tpa.dev/tpa/proxy/contract"
)

// load returns the objects of the base by "Kind/name".
func load(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob("base/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]*unstructured.Unstructured{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
		for doc, err := reader.Read(); err == nil; doc, err = reader.Read() {
			object := &unstructured.Unstructured{}
			if err := yaml.Unmarshal(doc, &object.Object); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			objects[object.GetKind()+"/"+object.GetName()] = object
		}
	}
	return objects
}

func clusterRole(t *testing.T, name string) []rbacv1.PolicyRule {
	t.Helper()
	object, ok := load(t)["ClusterRole/"+name]
	if !ok {
		t.Fatalf("no ClusterRole %s", name)
	}
	data, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict(data, &role); err != nil {
		t.Fatal(err)
	}
	return role.Rules
}

// rights spells rules out, one string for each verb on each resource; those limited to names say so.
func rights(rules []rbacv1.PolicyRule) []string {
	var out []string
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s.%s %s",
						verb, resource, group, strings.Join(rule.ResourceNames, ","))))
				}
			}
		}
	}
	return out
}

// Who binds a role must hold its rules; TPA also has the verb bind, but must not grant more than it has.
func TestControllerHoldsWhatProxiesGet(t *testing.T) {
	controller := rights(clusterRole(t, "tpa-controller"))
	for _, right := range rights(clusterRole(t, contract.ProxyClusterRole)) {
		if !slices.Contains(controller, right) {
			t.Errorf("the proxy's %q is none of the controller's", right)
		}
	}
}

func TestNoPowerToTake(t *testing.T) {
	for _, role := range []string{"tpa-controller", contract.ProxyClusterRole} {
		for _, rule := range clusterRole(t, role) {
			for _, right := range rights([]rbacv1.PolicyRule{rule}) {
				verb, what, _ := strings.Cut(right, " ")
				switch {
				case verb == "*", verb == "escalate", verb == "impersonate":
					t.Errorf("%s: %s", role, right)
				case strings.HasPrefix(what, "secrets."), strings.HasPrefix(what, "*."):
					t.Errorf("%s: %s", role, right)
				case verb == "bind" && !slices.Equal(rule.ResourceNames, []string{contract.ProxyClusterRole}):
					t.Errorf("%s: %s: binds more than %s", role, right, contract.ProxyClusterRole)
				}
			}
		}
	}
	for _, right := range rights(clusterRole(t, "tpa-controller")) {
		verb, what, _ := strings.Cut(right, " ")
		for _, resource := range []string{"deployments.", "serviceaccounts.", "rolebindings.", "poddisruptionbudgets."} {
			if strings.HasPrefix(what, resource) && !slices.Contains([]string{"get", "list", "watch"}, verb) &&
				!strings.HasSuffix(what, " "+contract.ProxyName) {
				t.Errorf("tpa-controller: %s: of these it writes %s only", right, contract.ProxyName)
			}
		}
	}
	for _, right := range rights(clusterRole(t, contract.ProxyClusterRole)) {
		if strings.Contains(right, "deployments.") {
			t.Errorf("a proxy has %q: a pod template is code execution", right)
		}
	}
}

func TestEachRuleSaysWhy(t *testing.T) {
	for _, file := range []string{"base/rbac-controller.yaml", "base/rbac-proxy.yaml", "chart/templates/uninstall.yaml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		for i, line := range lines {
			if (strings.HasPrefix(line, "  - apiGroups:") || strings.HasPrefix(line, "  - nonResourceURLs:")) && !strings.HasPrefix(lines[i-1], "  # ") {
				t.Errorf("%s:%d: no comment above the rule", file, i+1)
			}
		}
	}
}

// The names in CEL and labels are the contract's.
func TestWebhookKnowsTheContract(t *testing.T) {
	config, ok := load(t)["MutatingWebhookConfiguration/tpa"]
	if !ok {
		t.Fatal("no MutatingWebhookConfiguration tpa")
	}
	data, err := yaml.Marshal(config.Object)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, want := range []string{
		"'" + contract.TargetKey + "' in object.metadata.annotations",
		"'" + contract.PhaseKey + "' in oldObject.metadata.annotations",
		"'" + contract.SelectorKey + "' in object.spec.selector",
		contract.InjectLabel + ": " + contract.InjectEnabled,
	} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("the webhook configuration lacks %s", want)
		}
	}
}
