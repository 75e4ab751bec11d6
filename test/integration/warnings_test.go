//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"

	"tpa.dev/tpa/proxy/contract"
)

// TestPutBack: nobody but TPA changes what TPA writes on a Service. Who tries is told, whatever they try it with.
func TestPutBack(t *testing.T) {
	forged := contract.OriginalKey + `={"selector":{"app":"other"},"targetPorts":{"80":"http"}}`
	for _, tt := range []struct {
		kubectl []string
		keys    string
	}{
		{[]string{"annotate", "--overwrite", "service", "web", contract.PhaseKey + "=Pending"}, "tpa.dev/phase"},
		{[]string{"annotate", "service", "web", contract.PhaseKey + "-"}, "tpa.dev/phase"},
		{[]string{"annotate", "--overwrite", "service", "web", contract.PortsKey + "=80:20002"}, "tpa.dev/ports"},
		{[]string{"annotate", "service", "web", contract.PortsKey + "-"}, "tpa.dev/ports"},
		{[]string{"annotate", "--overwrite", "service", "web", forged}, "tpa.dev/original"},
		{[]string{"annotate", "service", "web", contract.OriginalKey + "-"}, "tpa.dev/original"},
		{[]string{"label", "--overwrite", "service", "web", contract.ManagedLabel + "=no"}, "tpa.dev/managed"},
		{[]string{"label", "service", "web", contract.ManagedLabel + "-"}, "tpa.dev/managed"},
		{[]string{"patch", "service", "web", "--type=merge", "-p", `{"metadata":{"labels":null}}`}, "tpa.dev/managed"},
		{[]string{"patch", "service", "web", "--type=json", "-p", `[{"op":"replace","path":"/metadata/annotations","value":{"tpa.dev/target":"web"}}]`}, "tpa.dev/original, tpa.dev/phase, tpa.dev/ports"},
		{[]string{"edit", "service", "web"}, "tpa.dev/phase"},
		{[]string{"apply", "-f", "-"}, "tpa.dev/phase"},
		{[]string{"apply", "--server-side", "--force-conflicts", "-f", "-"}, "tpa.dev/phase"},
		{[]string{"replace", "-f", "-"}, "tpa.dev/managed, tpa.dev/original, tpa.dev/phase, tpa.dev/ports"},
	} {
		t.Run(strings.Join(tt.kubectl, " "), func(t *testing.T) {
			t.Setenv("KUBE_EDITOR", "sed -i s/Active/Restoring/")
			s := openShop(t)
			s.passes(s.yaml(s.manifest(contract.TargetKey+"=web")), "apply", "-f", "-")
			before := s.phase("web", contract.Active, contract.Ports{80: 20001})
			stdin := ""
			if tt.kubectl[len(tt.kubectl)-1] == "-" {
				stdin = s.yaml(s.manifest(contract.TargetKey+"=web", contract.PhaseKey+"=Restoring"))
			}
			want := tt.keys + ": only TPA itself changes this; the request's value is not taken"
			if got := s.passes(stdin, tt.kubectl...); got != want {
				t.Errorf("warnings %q, want %q", got, want)
			}
			after := s.get("web")
			same(t, before.Spec, after.Spec)
			same(t, before.Labels, after.Labels)
			for _, key := range []string{contract.TargetKey, contract.PhaseKey, contract.PortsKey, contract.OriginalKey} {
				same(t, before.Annotations[key], after.Annotations[key])
			}
		})
	}
}

// TestForged: nobody but TPA makes a Service a managed one.
func TestForged(t *testing.T) {
	s := openShop(t)
	forged := s.manifest(contract.PhaseKey+"=Active", contract.PortsKey+"=80:20001")
	forged.Labels = map[string]string{contract.ManagedLabel: contract.ManagedTrue}
	const want = "tpa.dev/managed, tpa.dev/phase, tpa.dev/ports: only TPA itself changes this; the request's value is not taken"
	if got := s.passes(s.yaml(forged), "create", "-f", "-"); got != want {
		t.Errorf("warnings %q, want %q", got, want)
	}
	got := s.get("web")
	if len(got.Labels) > 0 || len(got.Annotations) > 0 || got.Spec.Selector["app"] != "web" {
		t.Errorf("forged: %v %v %v", got.Labels, got.Annotations, got.Spec)
	}
}

// TestWarnings: where TPA reads a request otherwise than it was written, or cannot do yet what it asks for.
func TestWarnings(t *testing.T) {
	s := openShop(t)
	missing := func(target string) string {
		return fmt.Sprintf("metadata.annotations[tpa.dev/target]: %s does not exist (yet) in namespace %q", target, s.ns)
	}
	warns := func(want, stdin string, args ...string) {
		t.Helper()
		if got := s.passes(stdin, args...); got != want {
			t.Errorf("kubectl %s warns %q, want %q", strings.Join(args, " "), got, want)
		}
	}
	manifest := s.manifest(contract.TargetKey + "=web,statefulset/db,widgets.example.com/w")
	manifest.Spec.Selector["tier"] = "a"
	warns(missing("deployment/web")+"\n"+missing("statefulset/db")+"\n"+missing("widgets.example.com/w"), s.yaml(manifest), "create", "-f", "-")
	warns(missing("deployment/web"), "", "annotate", "--overwrite", "service", "web", contract.TargetKey+"=web")
	s.passes("", "create", "deployment", "web", "--image=web")
	warns("", "", "annotate", "service", "web", contract.IdleTimeoutKey+"=5m")
	s.phase("web", contract.Active, contract.Ports{80: 20001})

	const partial = "spec.selector: tier=b is read as a change of app=web,tier=a, which gives app=web,tier=b; " +
		"to replace the whole selector, apply the whole Service"
	warns(partial, "", "patch", "service", "web", "--dry-run=server", "-p", `{"spec":{"selector":{"tier":"b"}}}`)
	warns(partial, "", "patch", "service", "web", "-p", `{"spec":{"selector":{"tier":"b"}}}`)
	warns("", "", "patch", "service", "web", "-p", `{"spec":{"selector":{"tier":"c","app":"web"}}}`)

	exported := s.get("web")
	exported.APIVersion, exported.Kind = "v1", "Service"
	exported.UID, exported.ResourceVersion, exported.ManagedFields = "", "", nil
	exported.Spec.ClusterIP, exported.Spec.ClusterIPs = "", nil
	warns("", "", "delete", "service", "web")
	warns("the Service was exported while TPA had rewritten it: its own selector and targetPorts are taken from tpa.dev/original",
		s.yaml(exported), "create", "-f", "-")
	got := s.get("web")
	if got.Spec.Selector["tier"] != "c" || got.Spec.Ports[0].TargetPort.StrVal != "http" || got.Annotations[contract.PhaseKey] != "Pending" {
		t.Errorf("the exported Service came back as %+v, %v", got.Spec, got.Annotations)
	}
}
