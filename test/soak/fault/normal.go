package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/test/kit"
)

// Normal returns what is not as it is without a fault, or nil. It says nothing about clients.
func (e *Env) Normal(ctx context.Context) error {
	return errors.Join(e.nodesReady(ctx), e.webhookReady(ctx), e.proxiesReady(ctx), e.servicesActive(ctx),
		e.targetsSettled(ctx), e.podsStart(ctx))
}

func (e *Env) nodesReady(ctx context.Context) error {
	var nodes corev1.NodeList
	if err := e.Cluster.List(ctx, &nodes); err != nil {
		return err
	}
	for _, node := range nodes.Items {
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				return fmt.Errorf("node %s is not ready: %s", node.Name, c.Message)
			}
		}
	}
	return nil
}

// leaseWithin is how old a leader's Lease may be: controller-runtime's 15 s.
const leaseWithin = 15 * time.Second

func (e *Env) webhookReady(ctx context.Context) error {
	d := &appsv1.Deployment{}
	if err := e.Cluster.Get(ctx, client.ObjectKey{Namespace: kit.SystemNamespace, Name: "tpa-webhook"}, d); err != nil {
		return err
	}
	if !rolledOut(d) {
		return errors.New(kit.Describe(d))
	}
	lease, err := e.leaderLease(ctx)
	if err != nil {
		return err
	}
	pods, err := e.pods(ctx, kit.SystemNamespace, kit.WebhookLabels)
	if err != nil {
		return err
	}
	if at := lease.Spec.RenewTime; at == nil || time.Since(at.Time) > leaseWithin {
		return fmt.Errorf("the controller's Lease was last renewed at %s", at)
	}
	for i := range pods {
		if leads(lease, &pods[i]) {
			return nil
		}
	}
	return errors.New("no ready webhook leads")
}

func (e *Env) proxiesReady(ctx context.Context) error {
	d := e.proxyDeployment()
	if err := e.Cluster.Get(ctx, client.ObjectKeyFromObject(d), d); err != nil {
		return err
	}
	if !rolledOut(d) {
		return errors.New(kit.Describe(d))
	}
	return nil
}

func (e *Env) servicesActive(ctx context.Context) error {
	var services corev1.ServiceList
	if err := e.Cluster.List(ctx, &services, client.InNamespace(e.Namespace)); err != nil {
		return err
	}
	for _, s := range services.Items {
		phase := s.Annotations[contract.PhaseKey]
		if s.Annotations[contract.TargetKey] != "" && phase != string(contract.Active) {
			return fmt.Errorf("service %s is %s", s.Name, phase)
		}
	}
	return nil
}

// targetsSettled looks for targets that have stopped halfway.
func (e *Env) targetsSettled(ctx context.Context) error {
	var leases coordinationv1.LeaseList
	labels := client.MatchingLabels{contract.LeaseLabel: contract.LeaseTarget}
	if err := e.Cluster.List(ctx, &leases, client.InNamespace(e.Namespace), labels); err != nil {
		return err
	}
	for _, lease := range leases.Items {
		state, err := sleep.Parse(lease.Annotations[contract.StateKey])
		if err != nil {
			return fmt.Errorf("lease %s: %w", lease.Name, err)
		}
		if state.Phase == sleep.Sleeping && time.Since(state.Since) > sleep.TakeOver {
			return fmt.Errorf("lease %s: %s", lease.Name, state)
		}
	}
	return nil
}

// podsStart looks for pods that cannot.
func (e *Env) podsStart(ctx context.Context) error {
	var pods corev1.PodList
	if err := e.Cluster.List(ctx, &pods, client.InNamespace(e.Namespace)); err != nil {
		return err
	}
	for _, pod := range pods.Items {
		for _, s := range pod.Status.ContainerStatuses {
			if w := s.State.Waiting; w != nil && w.Reason != "ContainerCreating" && pod.DeletionTimestamp == nil {
				return errors.New(kit.Describe(&pod))
			}
		}
	}
	return nil
}
