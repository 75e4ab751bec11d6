//go:build integration

package truth

import (
	"strings"
	"testing"
)

// TestToServerSide: a Service that client-side apply made is applied server-side from now on, also with a change in the
// same step: the API server lets kubectl take over what stands in last-applied.
func TestToServerSide(t *testing.T) {
	for name, next := range map[string]edit{
		"same-again": sameAgain, "unrelated": unrelated, "key-changed": keyChanged, "retargeted": retargeted, "port-added": portAdded,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, "to-server-side-"+name, clientSide)
			p.both(next, serverSide)
			before := p.service(p.live)
			p.both(next, serverSide)
			if after := p.service(p.live); after.ResourceVersion != before.ResourceVersion {
				t.Errorf("the second time, it changed (-before +after):\n%s", sameObject(before, after))
			}
			for _, entry := range p.service(p.live).ManagedFields {
				if entry.Manager == "kubectl-client-side-apply" {
					t.Errorf("kubectl did not hand over: %s", entry.FieldsV1)
				}
			}
			// From here on what the manifest does not name any more goes.
			p.both(portRemoved, serverSide)
			p.both(keyDropped, serverSide)
			p.same()
		})
	}
}

// TestConflictStays: somebody changed the selector by hand. Server-side apply conflicts with that person, and says so.
func TestConflictStays(t *testing.T) {
	p := newPair(t, "conflict-stays", serverSide)
	p.both(keyChanged.by(`{"spec":{"selector":{"tier":"b"}}}`), patch("strategic"))
	for _, ns := range []string{p.live, p.twin} {
		err := p.send(ns, sameAgain, serverSide)
		if err == nil || !strings.Contains(err.Error(), `conflict with "kubectl-patch"`) || !strings.Contains(err.Error(), ".spec.selector") {
			t.Errorf("%s: %v, want a conflict", ns, err)
		}
	}
	p.both(sameAgain, kubectl("apply", "--server-side", "--force-conflicts"))
	p.same()
}

// TestInBetween: between two server-side applies somebody sends the same Service with another label, in a way that sends
// the selector, too. That takes no more than the label.
func TestInBetween(t *testing.T) {
	both := edit{name: "label and selector key changed", do: func(m *manifest) { unrelated.do(m); keyChanged.do(m) }}
	for name, how := range map[string]func(batch, bool) (answer, error){"replace": kubectl("replace"), "apply": clientSide} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, "in-between-"+name, serverSide)
			p.both(unrelated, how)
			p.both(unrelated, serverSide)
			p.both(both, serverSide)
			p.same()
		})
	}
}

// TestPart: a manager that applies no more than a label leaves the rest alone.
func TestPart(t *testing.T) {
	p := newPair(t, "part", serverSide)
	p.both(sameAgain, func(b batch, dryRun bool) (answer, error) {
		b.docs[0].manifest.Spec, b.docs[0].manifest.Annotations = nil, nil
		return by("labels")(b, dryRun)
	})
	if got := show(seen.Last(p.live).Spec); got != "K | http 80>T, admin 81>T" {
		t.Errorf("arrived: %s", got)
	}
	p.both(keyChanged, serverSide)
	p.same()
}

// TestTwoManagers: without TPA two managers may apply the same selector, and share it. The API server compares with
// what is live, so while the Service is rewritten the second one conflicts: it has to take the field, as Argo CD and
// Flux do always.
func TestTwoManagers(t *testing.T) {
	p := newPair(t, "two-managers", by("argocd-controller"))
	if err := p.send(p.twin, sameAgain, by("kustomize-controller")); err != nil {
		t.Errorf("without TPA: %v", err)
	}
	if err := p.send(p.live, sameAgain, by("kustomize-controller")); err == nil || !strings.Contains(err.Error(), `conflicts with "argocd-controller"`) {
		t.Errorf("with TPA: %v, want a conflict", err)
	}
	p.both(sameAgain, kubectl("apply", "--server-side", "--field-manager=kustomize-controller", "--force-conflicts"))
	p.same()
}

// TestCreatedThenApplied: `kubectl create` has nothing like last-applied, so it owns what it wrote, and the first
// server-side apply of a rewritten Service has to take it.
func TestCreatedThenApplied(t *testing.T) {
	p := newPair(t, "created-then-applied", kubectl("create"))
	if err := p.send(p.twin, sameAgain, serverSide); err != nil {
		t.Errorf("without TPA: %v", err)
	}
	if err := p.send(p.live, sameAgain, serverSide); err == nil || !strings.Contains(err.Error(), `conflicts with "kubectl-create"`) {
		t.Errorf("with TPA: %v, want a conflict", err)
	}
	p.both(sameAgain, kubectl("apply", "--server-side", "--force-conflicts"))
	before := p.service(p.live)
	p.both(sameAgain, serverSide)
	if after := p.service(p.live); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("the second time, it changed (-before +after):\n%s", sameObject(before, after))
	}
	p.same()
}
