package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// toldWithin bounds how long Events may come after what they tell of: nothing waits for them to be written.
const toldWithin = time.Minute

// told waits until the API server has an Event of each sleep on the Deployment, as `kubectl describe` finds it, and on the Service.
func (c *calmness) told(ctx context.Context) error {
	var missing error
	err := wait.PollUntilContextTimeout(ctx, time.Second, toldWithin, true, func(ctx context.Context) (bool, error) {
		if err := c.look(ctx); ctx.Err() == nil {
			missing = err
		}
		return missing == nil, nil
	})
	return errors.Join(err, missing)
}

// look says which Event is not there.
func (c *calmness) look(ctx context.Context) error {
	in := client.InNamespace(c.full.namespace)
	var deployments appsv1.DeploymentList
	var services corev1.ServiceList
	var events corev1.EventList
	for _, list := range []client.ObjectList{&deployments, &services, &events} {
		if err := c.w.api.Admin.List(ctx, list, in); err != nil {
			return err
		}
	}
	has := map[corev1.ObjectReference]bool{}
	for _, e := range events.Items {
		if e.Reason == "ScaledToZero" {
			has[e.InvolvedObject] = true
		}
	}
	var untold []string
	about := func(apiVersion, kind string, o client.Object) {
		if !has[corev1.ObjectReference{APIVersion: apiVersion, Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID()}] {
			untold = append(untold, kind+" "+o.GetName())
		}
	}
	for i := range deployments.Items {
		about("apps/v1", "Deployment", &deployments.Items[i])
	}
	for i := range services.Items {
		about("v1", "Service", &services.Items[i])
	}
	if len(untold) > 0 {
		return fmt.Errorf("no Event says that %d of these sleep, %s among them", len(untold), untold[0])
	}
	c.row("Events of that", "one on each of %d Deployments and Services", len(deployments.Items)+len(services.Items))
	return nil
}
