//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// TestRejected writes annotations that TPA cannot take, with kubectl as a person would. What kubectl prints names the
// annotation and says what to write.
func TestRejected(t *testing.T) {
	f := setUp(t)
	app := f.app("web", 1)
	service := app.Service(nil)
	f.create(app.Deployment(), service)
	before := kit.Snap(service)
	for _, test := range []struct {
		name        string
		annotations map[string]string
		want        []string
	}{
		{"idle time that is no duration", map[string]string{contract.IdleTimeoutKey: "soon"},
			[]string{contract.IdleTimeoutKey, `"soon"`, "such as 90s, 10m or 1h30m"}},
		{"idle time without a unit", map[string]string{contract.IdleTimeoutKey: "30"},
			[]string{contract.IdleTimeoutKey, `"30"`, "such as 90s, 10m or 1h30m"}},
		{"target that is no name", map[string]string{contract.TargetKey: "My_App"},
			[]string{contract.TargetKey, "My_App", "web, deployment/web, statefulset/db"}},
		{"target of no kind", map[string]string{contract.TargetKey: "pod/web"},
			[]string{contract.TargetKey, "pod/web", "web, deployment/web, statefulset/db"}},
		{"unknown key", map[string]string{contract.Prefix + "idle-timeuot": "5m"},
			[]string{contract.Prefix + "idle-timeuot", "not an annotation of TPA", "write one of", contract.IdleTimeoutKey}},
	} {
		annotations := managed("web", time.Minute)
		args := []string{"annotate", "--overwrite", "service", "web"}
		for key, value := range test.annotations {
			annotations[key] = value
		}
		for key, value := range annotations {
			args = append(args, key+"="+value)
		}
		created := app.Service(annotations)
		created.Name = "other"
		for how, run := range map[string]func() (kit.Output, error){
			"annotate": func() (kit.Output, error) { return f.kubectl("", args...) },
			"apply":    func() (kit.Output, error) { return f.kubectl(f.manifest(created), "apply", "-f", "-") },
		} {
			out, err := run()
			if err == nil {
				t.Errorf("%s: kubectl %s was accepted: %s", test.name, how, out.Stdout)
				continue
			}
			t.Logf("%s: %s", test.name, strings.TrimSpace(out.Stderr))
			for _, text := range test.want {
				if !strings.Contains(out.Stderr, text) {
					t.Errorf("%s: kubectl %s does not say %q: %s", test.name, how, text, out.Stderr)
				}
			}
		}
	}
	f.must(before.Restored(f.service("web")))
}
