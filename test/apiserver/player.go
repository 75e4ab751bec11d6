package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycoordinationv1 "k8s.io/client-go/applyconfigurations/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"tpa.dev/tpa/proxy/contract"
)

// FailKey, as an annotation of a Namespace with any value, keeps the pods of the proxy there from being ready.
const FailKey = "test.tpa.dev/proxies-fail"

// player plays who acts on objects in a cluster: the Deployment controller, the kubelet, whose pods are ready at once,
// the garbage collector, and TPA's proxies, which say what they listen on and leave targets alone.
type player struct{ client client.Client }

// Reconcile plays in one namespace.
func (p *player) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var (
		namespace   corev1.Namespace
		deployments appsv1.DeploymentList
		pods        corev1.PodList
	)
	if err := p.client.Get(ctx, request.NamespacedName, &namespace); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	for _, list := range []client.ObjectList{&deployments, &pods} {
		if err := p.client.List(ctx, list, client.InNamespace(namespace.Name)); err != nil {
			return reconcile.Result{}, err
		}
	}
	owned := map[types.UID][]*corev1.Pod{}
	for i := range pods.Items {
		if owner := metav1.GetControllerOf(&pods.Items[i]); owner != nil {
			owned[owner.UID] = append(owned[owner.UID], &pods.Items[i])
		}
	}
	_, fail := namespace.Annotations[FailKey]
	var errs []error
	for i := range deployments.Items {
		d := &deployments.Items[i]
		errs = append(errs, unlessBehind(p.roll(ctx, d, owned[d.UID], fail && d.Name == contract.ProxyName)))
		delete(owned, d.UID)
	}
	for _, left := range owned {
		errs = append(errs, unlessBehind(p.end(ctx, left)))
	}
	return reconcile.Result{}, errors.Join(errs...)
}

// unlessBehind drops what comes of a watch that is behind: the event that it has yet to bring wakes the player again.
func unlessBehind(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// roll gives a Deployment its pods, new ones first, and says how it stands.
func (p *player) roll(ctx context.Context, d *appsv1.Deployment, has []*corev1.Pod, fail bool) error {
	byName := map[string]*corev1.Pod{}
	for _, pod := range has {
		byName[pod.Name] = pod
	}
	template, err := json.Marshal(d.Spec.Template)
	if err != nil {
		return err
	}
	hash := crc32.ChecksumIEEE(template)
	ready := int32(0)
	for i := range *d.Spec.Replicas {
		name := fmt.Sprintf("%s-%x-%d", d.Name, hash, i)
		pod, there := byName[name]
		if !there {
			pod = &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: d.Namespace, Name: name, Labels: d.Spec.Template.Labels,
					OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
				},
				Spec: *d.Spec.Template.Spec.DeepCopy(),
			}
			if err := p.client.Create(ctx, pod); err != nil {
				return err
			}
		}
		delete(byName, name)
		if d.Name == contract.ProxyName {
			if err := p.listen(ctx, pod); err != nil {
				return err
			}
		}
		if err := SetReady(ctx, p.client, pod, !fail); err != nil {
			return err
		}
		if !fail {
			ready++
		}
	}
	if ready == *d.Spec.Replicas {
		var old []*corev1.Pod
		for _, pod := range byName {
			old = append(old, pod)
		}
		if err := p.end(ctx, old); err != nil {
			return err
		}
	}
	return p.report(ctx, d, ready)
}

// listen has a proxy acknowledge all ports that are allocated in its namespace.
func (p *player) listen(ctx context.Context, pod *corev1.Pod) error {
	var services corev1.ServiceList
	if err := p.client.List(ctx, &services, client.InNamespace(pod.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	listening := contract.Listening{}
	for i := range services.Items {
		svc := &services.Items[i]
		ports, err := contract.ParsePorts(svc.Annotations[contract.PortsKey])
		if err != nil {
			return err
		}
		for _, slot := range ports {
			listening[svc.UID] = append(listening[svc.UID], slot)
		}
	}
	var lease coordinationv1.Lease
	name := contract.PodLease(pod.Name)
	err := p.client.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: name}, &lease)
	if err == nil && lease.Annotations[contract.ListeningKey] == listening.String() || client.IgnoreNotFound(err) != nil {
		return err
	}
	return p.client.Apply(ctx, applycoordinationv1.Lease(name, pod.Namespace).
		WithLabels(map[string]string{contract.LeaseLabel: contract.LeaseProxy}).
		WithAnnotations(map[string]string{contract.ListeningKey: listening.String()}), client.FieldOwner("proxy"), client.ForceOwnership)
}

// SetReady makes a pod ready, or not, as a kubelet says it.
func SetReady(ctx context.Context, c client.Client, pod *corev1.Pod, ready bool) error {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == status {
			return nil
		}
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.Now()}}
	return c.Status().Update(ctx, pod)
}

// end deletes pods, and what they said they listen on.
func (p *player) end(ctx context.Context, pods []*corev1.Pod) error {
	for _, pod := range pods {
		err := p.client.Delete(ctx, pod, client.GracePeriodSeconds(0))
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		if !strings.HasPrefix(pod.Name, contract.ProxyName+"-") {
			continue
		}
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: contract.PodLease(pod.Name)}}
		if err := client.IgnoreNotFound(p.client.Delete(ctx, lease)); err != nil {
			return err
		}
	}
	return nil
}

// report writes a Deployment's status.
func (p *player) report(ctx context.Context, d *appsv1.Deployment, ready int32) error {
	available := corev1.ConditionFalse
	if ready == *d.Spec.Replicas {
		available = corev1.ConditionTrue
	}
	s := &d.Status
	if s.ObservedGeneration == d.Generation && s.ReadyReplicas == ready && len(s.Conditions) == 1 && s.Conditions[0].Status == available {
		return nil
	}
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, Replicas: *d.Spec.Replicas, UpdatedReplicas: *d.Spec.Replicas,
		ReadyReplicas: ready, AvailableReplicas: ready, UnavailableReplicas: *d.Spec.Replicas - ready,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: available}},
	}
	return p.client.Status().Update(ctx, d)
}
