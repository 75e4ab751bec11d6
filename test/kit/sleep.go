package kit

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// SleepState reads what a target's Lease says, such as that of "web" or "statefulset/db".
func (c *Cluster) SleepState(ctx context.Context, namespace, target string) (sleep.State, error) {
	t, err := contract.ParseTarget(target)
	if err != nil {
		return sleep.State{}, err
	}
	var lease coordinationv1.Lease
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: t.Lease()}, &lease); err != nil {
		return sleep.State{}, fmt.Errorf("sleep state of %s in %s: %w", target, namespace, err)
	}
	return sleep.Parse(lease.Annotations[contract.StateKey])
}
