//go:build e2e

package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

// What the cluster under test runs, from the repository's root.
const (
	localOverlay     = "manifests/overlays/local"
	slowDrainOverlay = "test/e2e/testdata/slowdrain"
)

// TestUndeploy takes TPA off the cluster and brings it back, with what `make undeploy` and `make deploy` run. It is in
// the last file, as it leaves every other Service of the cluster alone for a while.
func TestUndeploy(t *testing.T) {
	one, two := setUp(t), setUp(t)
	asleep := one.adoptAndSleep("web", 2)
	busy := two.adoptAndSleep("web", 1) // woken below
	unused := two.adoptAndSleep("unused", 3)
	var loads []*kit.Running
	loads = append(loads, two.clients(address(busy.service, 80), 4)...)
	two.wait("clients to be answered", answers(loads[0], 50))
	two.asleep("unused")
	one.asleep("web")
	t.Cleanup(func() {
		out, err := script(context.Background(), "manifests/deploy.sh", localOverlay)
		if err != nil {
			t.Errorf("deploy: %v\n%s", err, out.Stdout)
		}
	})

	trails := []restoreTrail{one.followRestore("web"), two.followRestore("unused")}
	var undeploy sync.WaitGroup
	var said kit.Output
	var failed error
	start := time.Now()
	undeploy.Go(func() { said, failed = script(t.Context(), "manifests/undeploy.sh", localOverlay) })
	t.Cleanup(undeploy.Wait) // before the deploy above, should a check end the test
	loads = append(loads, one.clients(address(asleep.service, 80), 4)...)
	one.restored("web", asleep.before)
	two.restored("web", busy.before)
	two.restored("unused", unused.before)
	for _, trail := range trails {
		trail.check()
	}
	undeploy.Wait()
	t.Logf("undeploy took %.1fs:\n%s", time.Since(start).Seconds(), said.Stdout)
	one.must(failed)
	for _, f := range []*fixture{one, two} {
		if gone, seen := f.noProxy(f.ctx); !gone {
			t.Errorf("undeploy left a proxy: %s", seen)
		}
	}
	var system corev1.Namespace
	if err := cluster.Get(t.Context(), client.ObjectKey{Name: kit.SystemNamespace}, &system); !apierrors.IsNotFound(err) {
		t.Errorf("undeploy left namespace %s: %v", kit.SystemNamespace, err)
	}
	two.ready("unused", 3)
	for _, load := range loads {
		one.wait("answers without TPA", answers(load, 50))
	}

	// The annotations are still there: who brings TPA back finds everything as it was.
	if out, err := script(t.Context(), "manifests/deploy.sh", localOverlay); err != nil {
		t.Fatalf("deploy: %v\n%s", err, out.Stdout)
	}
	one.active("web")
	two.active("web")
	two.active("unused")
	two.asleep("unused")
	for _, load := range loads {
		one.wait("answers with TPA again", answers(load, 50))
		if tally := load.Stop(); tally.Failed() > 0 {
			t.Errorf("clients: %s", tally)
		}
	}
}

// script runs one of the scripts that make runs, from the repository's root.
func script(ctx context.Context, path, overlay string) (kit.Output, error) {
	return cluster.Nodes[0].Run(ctx, "", "env", "-C", "../..", "KUBECTL=kubectl", "OVERLAY="+overlay, path)
}
