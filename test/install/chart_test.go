//go:build integration

package install

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestChartIsTheBase: with default values the chart renders what the kustomize base holds. It lacks the Namespace, which is
// not a release's to own, and has the pre-delete hook and the labels that tell Helm's objects from others.
func TestChartIsTheBase(t *testing.T) {
	for _, helm := range helms {
		t.Run(helm, func(t *testing.T) {
			got, base := rendered(t, helm, ""), base(t)
			want := []string{"- Namespace/tpa-system"}
			for _, key := range slices.Sorted(maps.Keys(base)) {
				if key != "Namespace/tpa-system" {
					want = append(want,
						"+ "+key+" metadata.labels.app.kubernetes.io/managed-by: Helm",
						"+ "+key+" metadata.labels.helm.sh/chart: tpa-0.1.0")
				}
			}
			for _, kind := range []string{"ClusterRole", "ClusterRoleBinding", "Job", "Role", "RoleBinding", "ServiceAccount"} {
				key := kind + "/tpa-uninstall"
				want = append(want, "+ "+key)
				if hook := got[key].GetAnnotations()["helm.sh/hook"]; hook != "pre-delete" {
					t.Errorf("%s is a hook %q", key, hook)
				}
			}
			slices.Sort(want)
			diff := difference(base, got)
			slices.Sort(diff)
			if diff := cmp.Diff(want, diff); diff != "" {
				t.Errorf("the chart differs from the base (-allowed +is):\n%s", diff)
			}
		})
	}
}

// TestNamespace: in another namespace everything is the same, with that namespace in every place.
func TestNamespace(t *testing.T) {
	here, err := template(t, "helm4", namespace, "")
	if err != nil {
		t.Fatal(err)
	}
	there, err := template(t, "helm4", "scale-to-zero", "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(here, namespace, "scale-to-zero"), there); diff != "" {
		t.Error(diff)
	}
}

// TestPackage: the chart passes lint, and its package is what one pushes to a registry.
func TestPackage(t *testing.T) {
	for _, helm := range helms {
		t.Run(helm, func(t *testing.T) {
			if out, err := output(t, "", client(helm), "lint", "--strict", chart); err != nil {
				t.Error(err, out)
			}
			dir := t.TempDir()
			if out, err := output(t, "", client(helm), "package", "--destination="+dir, chart); err != nil {
				t.Fatal(err, out)
			}
			text, err := output(t, "", client(helm), "template", "tpa", filepath.Join(dir, "tpa-0.1.0.tgz"), "--namespace="+namespace, "--kube-version=1.36.3")
			if err != nil {
				t.Fatal(err)
			}
			if diff := difference(rendered(t, helm, ""), parse(t, text)); len(diff) > 0 {
				t.Errorf("the package renders something else: %s", diff)
			}
			if _, err := output(t, "", client(helm), "template", "tpa", chart, "--namespace="+namespace, "--kube-version=1.29.0"); err == nil {
				t.Error("it installs where webhooks know no matchConditions")
			}
		})
	}
}

func values(t *testing.T) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := yaml.UnmarshalStrict(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSchemaKnowsEachValue: what the schema lets pass is what values.yaml explains.
func TestSchemaKnowsEachValue(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(chart, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := yaml.UnmarshalStrict(data, &schema); err != nil {
		t.Fatal(err)
	}
	definitions := schema["definitions"].(map[string]any)
	var walk func(path string, schema, value map[string]any)
	walk = func(path string, schema, value map[string]any) {
		if ref, ok := schema["$ref"].(string); ok {
			schema = definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
		}
		properties, ok := schema["properties"].(map[string]any)
		if !ok || len(value) == 0 { // any key, or none by default
			return
		}
		if schema["additionalProperties"] != false {
			t.Errorf("%s: the schema lets any key pass", path)
		}
		for key, property := range properties {
			member, ok := value[key]
			if !ok && path+key != "global" {
				t.Errorf("%s%s is not in values.yaml", path, key)
			}
			if m, ok := member.(map[string]any); ok {
				walk(path+key+".", property.(map[string]any), m)
			}
		}
	}
	walk("", schema, values(t))
}

// TestDefaults: what values.yaml says of the webhook's own defaults is what its flags say.
func TestDefaults(t *testing.T) {
	help, err := combined(t, client("webhook"), "--help")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for key, flag := range map[string]string{
		"settleTime": "settle-time", "restoreTimeout": "restore-timeout", "linger": "linger", "stepAsideAfter": "step-aside-after",
		"stepAsideBackoff": "step-aside-backoff", "proxyDrain": "proxy-drain", "shutdownDelay": "shutdown-delay",
	} {
		said := regexp.MustCompile(`: default (\w+)[.;].*\n +` + key + `: ""`).FindSubmatch(data)
		is := regexp.MustCompile(`(?m)^  -` + flag + ` duration\n.*\(default (\w+)\)$`).FindStringSubmatch(help)
		if said == nil || is == nil {
			t.Errorf("%s: values.yaml %q, --%s %q", key, said, flag, is)
			continue
		}
		a, errA := time.ParseDuration(string(said[1]))
		b, errB := time.ParseDuration(is[1])
		if errA != nil || errB != nil || a != b {
			t.Errorf("%s is %s in values.yaml, %s is the default of --%s", key, said[1], is[1], flag)
		}
	}
	for path, flag := range map[string]string{
		`requests:\n +# default (\w+)\n +cpu`: "proxy-cpu", `requests:\n.*\n.*\n +# default (\w+)\n +memory`: "proxy-memory",
		`limits:\n.*\n.*\n +# default (\w+)\n +memory`: "proxy-memory-limit",
	} {
		said := regexp.MustCompile(path + `: ""`).FindSubmatch(data)
		if said == nil || !strings.Contains(help, fmt.Sprintf("-%s string\n", flag)) ||
			!regexp.MustCompile(`-`+flag+` string\n.*\(default "`+string(said[1])+`"\)`).MatchString(help) {
			t.Errorf("values.yaml says %q is the default of --%s", said, flag)
		}
	}
}
