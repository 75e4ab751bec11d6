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
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"tpa.dev/tpa/proxy/contract"
)

// FailKey, as an annotation of a Namespace with any value, keeps the pods of the proxy there from being ready.
const FailKey = "test.tpa.dev/proxies-fail"

// player plays who acts on objects in a cluster: the Deployment controller, the kubelet, whose pods are ready at once,
// the garbage collector, and TPA's proxies, which say what they listen on and leave targets alone.
type player struct{ client client.Client }

// Play plays in all namespaces until the returned function is called, which waits for the end.
func (s *Server) Play(ctx context.Context) (stop func() error, err error) {
	mgr, err := ctrl.NewManager(s.Config, ctrl.Options{
		Metrics: metricsserver.Options{BindAddress: "0"},
		Cache:   cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
	})
	if err != nil {
		return nil, fmt.Errorf("set up the player: %w", err)
	}
	in := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		name := o.GetNamespace()
		if name == "" {
			name = o.GetName()
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: name}}}
	})
	err = ctrl.NewControllerManagedBy(mgr).Named("player").
		Watches(&corev1.Namespace{}, in).Watches(&corev1.Service{}, in).Watches(&appsv1.Deployment{}, in).
		Watches(&corev1.Pod{}, in).Watches(&coordinationv1.Lease{}, in).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(&player{mgr.GetClient()})
	if err != nil {
		return nil, fmt.Errorf("set up the player: %w", err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- mgr.Start(running) }()
	return func() error { cancel(); return <-done }, nil
}

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
		errs = append(errs, p.roll(ctx, d, owned[d.UID], fail && d.Name == contract.ProxyName))
		delete(owned, d.UID)
	}
	for _, left := range owned {
		errs = append(errs, p.end(ctx, left))
	}
	err := errors.Join(errs...)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return reconcile.Result{RequeueAfter: 1}, nil // the watch was behind
	}
	return reconcile.Result{}, err
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
		if err := p.setReady(ctx, pod, !fail); err != nil {
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
	err := p.client.List(ctx, &services, client.InNamespace(pod.Namespace), client.MatchingLabels{contract.ManagedLabel: contract.ManagedTrue})
	if err != nil {
		return err
	}
	listening := contract.Listening{}
	for _, svc := range services.Items {
		ports, err := contract.ParsePorts(svc.Annotations[contract.PortsKey])
		if err != nil {
			return err
		}
		for _, slot := range ports {
			listening[svc.UID] = append(listening[svc.UID], slot)
		}
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: contract.PodLease(pod.Name)}}
	err = p.client.Get(ctx, client.ObjectKeyFromObject(lease), lease)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if lease.Annotations[contract.ListeningKey] == listening.String() {
		return nil
	}
	lease.Labels = map[string]string{contract.LeaseLabel: contract.LeaseProxy}
	lease.Annotations = map[string]string{contract.ListeningKey: listening.String()}
	if apierrors.IsNotFound(err) {
		return p.client.Create(ctx, lease)
	}
	return p.client.Update(ctx, lease)
}

// setReady makes a pod ready, or not.
func (p *player) setReady(ctx context.Context, pod *corev1.Pod, ready bool) error {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == status {
			return nil
		}
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.Now()}}
	return p.client.Status().Update(ctx, pod)
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
