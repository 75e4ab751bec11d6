//go:build e2e

package e2e

import (
	"context"
	"os"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

// undeployRounds is how often TPA is brought onto the cluster and taken off, unless UNDEPLOY_ROUNDS says otherwise. A
// round takes about 45 s.
const undeployRounds = 3

// TestUndeployUnderFire does by `make deploy` and `make undeploy` what TestOptInAndOutUnderFire does in a namespace.
func TestUndeployUnderFire(t *testing.T) {
	rounds := undeployRounds
	if text := os.Getenv("UNDEPLOY_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal("UNDEPLOY_ROUNDS: ", err)
		}
	}
	var running sync.WaitGroup
	ended := make(chan error, 1)
	undeploy := func(u *underFire) {
		running.Go(func() {
			_, err := script(u.ctx, "manifests/undeploy.sh", slowDrainOverlay)
			ended <- err
		})
	}
	gone := func(u *underFire) {
		u.must(<-ended)
		var system corev1.Namespace
		if err := cluster.Get(u.ctx, client.ObjectKey{Name: kit.SystemNamespace}, &system); !apierrors.IsNotFound(err) {
			u.Fatalf("undeploy left namespace %s: %v", kit.SystemNamespace, err)
		}
	}
	deploy := func(ctx context.Context, overlay string) {
		if out, err := script(ctx, "manifests/deploy.sh", overlay); err != nil {
			t.Errorf("deploy: %v\n%s", err, out.Stdout)
		}
	}
	u := setUp(t).underFire(func(u *underFire) { deploy(u.ctx, slowDrainOverlay) }, undeploy)
	t.Cleanup(func() {
		running.Wait()
		deploy(context.Background(), localOverlay)
	})
	undeploy(u)
	gone(u)
	u.annotateBoth()
	u.rounds(rounds, []way{
		{late: (*underFire).asleep, calls: true, after: gone},
		{late: (*underFire).waking, after: gone},
		{after: gone},
	})
}
