package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// Recheck is how often something is looked at again that is waited for.
const Recheck = 500 * time.Millisecond

// manager owns the fields that the user writes with kubectl tpa.
const manager = "kubectl-tpa"

// Wake scales a target up that is at 0, to what it had or is configured to have (0: what it had), and returns to how many;
// 0 if it was up. A target that is just falling asleep is waited for.
func (c *Client) Wake(ctx context.Context, namespace string, t contract.Target, configured int32) (int32, error) {
	fail := func(err error) (int32, error) {
		return 0, fmt.Errorf("wake %s in namespace %s: %w", t, namespace, err)
	}
	for {
		state, err := c.sleepState(ctx, namespace, t)
		if err != nil {
			return fail(err)
		}
		if state.Phase != sleep.Sleeping {
			scale, err := c.scales.Get(ctx, namespace, t.GroupResource(), t.Name)
			if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
				return fail(errors.New("it does not exist"))
			}
			if err != nil {
				return fail(err)
			}
			if scale.Spec.Replicas > 0 {
				return 0, nil
			}
			scale.Spec.Replicas = state.WakeTo(configured)
			written, err := c.scales.Update(ctx, t.GroupResource(), scale, manager)
			if err == nil {
				return written.Spec.Replicas, nil
			}
			if !apierrors.IsConflict(err) {
				return fail(err)
			}
		}
		select {
		case <-ctx.Done():
			return fail(fmt.Errorf("it is still being put to sleep: %w", ctx.Err()))
		case <-time.After(Recheck):
		}
	}
}

// sleepState reads a target's Lease; one that does not exist is the zero State.
func (c *Client) sleepState(ctx context.Context, namespace string, t contract.Target) (sleep.State, error) {
	lease, err := c.CoordinationV1().Leases(namespace).Get(ctx, t.Lease(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return sleep.State{}, nil
	}
	if err != nil {
		return sleep.State{}, err
	}
	return sleep.Parse(lease.Annotations[contract.StateKey])
}
