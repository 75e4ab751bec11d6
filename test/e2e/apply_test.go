//go:build e2e

package e2e

import (
	"maps"
	"testing"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// TestApply applies the manifest of an Active Service again, as GitOps does all day: clients notice nothing, and the
// Service stays as it is.
func TestApply(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
	}{
		{"client side", []string{"apply", "-f", "-"}},
		{"server side", []string{"apply", "--server-side", "-f", "-"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := setUp(t)
			app := f.app("web", 2)
			apply := func(annotations map[string]string) {
				t.Helper()
				out, err := f.kubectl(f.manifest(app.Service(annotations)), test.args...)
				if err != nil {
					t.Fatal(err)
				}
				t.Log(out.Stdout)
			}
			f.create(app.Deployment())
			annotations := managed("web", 10*idle)
			apply(annotations)
			active := f.active("web")
			f.ready("web", 2)
			f.reachable(address(active, 80))
			f.proxied(address(active, 80))
			load := kit.StartLoad(f.ctx, kit.Load{From: f.far, Address: address(active, 80), App: "web-", Clients: 4})
			f.wait("clients to be answered", answers(load, 20))

			apply(annotations)
			if again := f.service("web"); kit.Describe(again) != kit.Describe(active) {
				t.Errorf("the same manifest changed the Service:\n%s\n%s", kit.Describe(active), kit.Describe(again))
			}
			f.wait("clients to be answered", answers(load, 50))

			// A change of something else is the user's, and no reason to touch the selector.
			more := maps.Clone(annotations)
			more[contract.WakeTimeoutKey] = "1m"
			apply(more)
			again := f.active("web")
			if again.Annotations[contract.WakeTimeoutKey] != "1m" {
				t.Errorf("the change was lost: %s", kit.Describe(again))
			}
			if again.Annotations[contract.OriginalKey] != active.Annotations[contract.OriginalKey] {
				t.Errorf("the original changed from %s to %s", active.Annotations[contract.OriginalKey],
					again.Annotations[contract.OriginalKey])
			}
			f.wait("clients to be answered", answers(load, 50))
			if tally := load.Stop(); tally.Failed() > 0 {
				t.Errorf("clients: %s", tally)
			}
		})
	}
}
