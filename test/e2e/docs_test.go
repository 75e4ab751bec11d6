//go:build e2e

package e2e

import (
	"context"
	"os/exec"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/docs"
	"tpa.dev/tpa/test/kit"
)

// TestWalk runs the commands that the documents have a reader run on a cluster with TPA, as they stand, with the
// cluster's kubectl. At their end the Service is Active, which is what the reader was told to wait for.
func TestWalk(t *testing.T) {
	ns := kit.Namespace("shop", false)
	ns.Labels[suiteLabel] = "true"
	app := kit.App{Namespace: ns.Name, Name: "web"}
	for _, o := range []client.Object{ns, app.Deployment(), app.Service(nil)} {
		if err := cluster.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own has ended
		defer cancel()
		if err := cluster.Delete(ctx, ns); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
	for _, step := range docs.Walk {
		cmd := exec.CommandContext(t.Context(), "bash", "-euc", step)
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", step, err, out)
		}
	}
	err := kit.Wait(t.Context(), patience, "the Service to be Active", func(ctx context.Context) (bool, string) {
		var service corev1.Service
		if err := cluster.Get(ctx, client.ObjectKey{Namespace: ns.Name, Name: app.Name}, &service); err != nil {
			return false, err.Error()
		}
		phase := service.Annotations[contract.PhaseKey]
		return phase == string(contract.Active), "phase " + phase
	})
	if err != nil {
		t.Fatal(err)
	}
}
