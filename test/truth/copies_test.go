//go:build integration

package truth

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"tpa.dev/tpa/proxy/contract"
)

// TestExport: what `kubectl get -o yaml` shows of a rewritten Service is applied, and created again after a deletion.
func TestExport(t *testing.T) {
	p := newPair(t, "export", clientSide)
	out, err := server.Kubectl(t.Context(), "", "get", "service", name, "-n", p.live, "-o", "yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Kubectl(t.Context(), out.Stdout, "replace", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if got := show(p.service(p.live).Spec); got != "K | http 80>T, admin 81>T" {
		t.Errorf("replaced by its export, it is %s", got)
	}
	if _, err := server.Kubectl(t.Context(), out.Stdout, "delete", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	var export map[string]any
	if err := yaml.Unmarshal([]byte(out.Stdout), &export); err != nil {
		t.Fatal(err)
	}
	delete(export["metadata"].(map[string]any), "resourceVersion") // with it, no client creates anything
	text, err := yaml.Marshal(export)
	if err != nil {
		t.Fatal(err)
	}
	created, err := server.Kubectl(t.Context(), string(text), "apply", "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(created.Stderr, "exported while TPA had rewritten it") {
		t.Errorf("no warning: %q", created.Stderr)
	}
	svc := p.service(p.live)
	if err := fits(svc, contract.Pending); err != nil {
		t.Error(err)
	}
	if diff := sameSpec(p.service(p.twin).Spec, svc.Spec); diff != "" {
		t.Errorf("created from its export (-twin +got):\n%s", diff)
	}
	// The export stands in last-applied now. The user's own manifest takes its place.
	if err := activate(t.Context(), p.live); err != nil {
		t.Fatal(err)
	}
	p.both(keyDropped, clientSide)
	p.same()
}

// TestBackup: a backup of a rewritten Service is restored, in a namespace that is opted in and in one that is not, where
// the controller lets it go at once.
func TestBackup(t *testing.T) {
	p := newPair(t, "backup", serverSide)
	backup := p.service(p.live)
	for namespace, optedIn := range map[string]bool{"backup-in": true, "backup-out": false} {
		if err := createNamespace(t.Context(), namespace, optedIn); err != nil {
			t.Fatal(err)
		}
		restored := backup.DeepCopy()
		restored.Namespace, restored.ResourceVersion, restored.UID, restored.ManagedFields = namespace, "", "", nil
		restored.Spec.ClusterIP, restored.Spec.ClusterIPs = "", nil
		if err := server.Admin.Create(t.Context(), restored); err != nil {
			t.Fatal(err)
		}
		svc := p.service(namespace)
		if err := fits(svc, contract.Pending); err != nil {
			t.Errorf("%s: %v", namespace, err)
		}
		if !optedIn {
			if err := controller(t.Context(), namespace, contract.PhaseKey, ""); err != nil {
				t.Fatal(err)
			}
			svc = p.service(namespace)
			if err := fits(svc, ""); err != nil {
				t.Errorf("%s: %v", namespace, err)
			}
		}
		if diff := sameSpec(p.service(p.twin).Spec, svc.Spec); diff != "" {
			t.Errorf("%s (-twin +got):\n%s", namespace, diff)
		}
	}
}

// TestDiff: `kubectl diff` shows what would become of the Service: nothing for the same manifest, and for a change of
// the selector the one in the original.
func TestDiff(t *testing.T) {
	p := newPair(t, "diff", clientSide)
	diff := func(e edit, flags ...string) string {
		m := base(p.live)
		e.do(m)
		text, err := yaml.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		// It ends with an error where there is a difference.
		out, err := server.Kubectl(t.Context(), string(text), append([]string{"diff", "-f", "-"}, flags...)...)
		if err != nil && out.Stdout == "" {
			t.Fatal(err)
		}
		return out.Stdout
	}
	for _, flags := range [][]string{nil, {"--server-side"}} {
		if got := diff(sameAgain, flags...); got != "" {
			t.Errorf("%v, same again:\n%s", flags, got)
		}
		if got := diff(unrelated, flags...); !strings.Contains(got, "+    team: billing") || strings.Contains(got, "selector:") {
			t.Errorf("%v, another label:\n%s", flags, got)
		}
		if got := diff(keyChanged, flags...); !strings.Contains(got, `"selector":{"app":"web","tier":"b"}`) || strings.Contains(got, "+    tier: b") {
			t.Errorf("%v, another selector:\n%s", flags, got)
		}
	}
}
