package main

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	applycoordinationv1 "k8s.io/client-go/applyconfigurations/coordination/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// driver plays the Deployment controller, the kubelet and the proxies: one namespace at a time, when something happens
// there.
type driver struct {
	client client.Client
	phases *phases
}

// startDriver plays until ctx ends.
func startDriver(ctx context.Context, config *rest.Config) (*driver, error) {
	proxies := cache.ByObject{Label: labels.SelectorFromSet(proxyobjects.Labels())}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Service{}:       {Label: labels.Set{contract.ManagedLabel: contract.ManagedTrue}.AsSelector()},
				&corev1.Pod{}:           proxies,
				&appsv1.Deployment{}:    proxies,
				&coordinationv1.Lease{}: {Label: labels.Set{contract.LeaseLabel: contract.LeaseProxy}.AsSelector()},
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("set up the driver: %w", err)
	}
	d := &driver{client: mgr.GetClient(), phases: newPhases()}
	services, err := mgr.GetCache().GetInformer(ctx, &corev1.Service{})
	if err != nil {
		return nil, err
	}
	if _, err := services.AddEventHandler(d.phases); err != nil {
		return nil, err
	}
	in := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: o.GetNamespace()}}}
	})
	otherPorts := builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetAnnotations()[contract.PortsKey] != e.ObjectNew.GetAnnotations()[contract.PortsKey]
	}})
	err = ctrl.NewControllerManagedBy(mgr).Named("proxies").
		Watches(&corev1.Service{}, in, otherPorts).Watches(&appsv1.Deployment{}, in).
		Watches(&corev1.Pod{}, in).Watches(&coordinationv1.Lease{}, in).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(reconcile.Func(d.play))
	if err != nil {
		return nil, err
	}
	go func() { _ = mgr.Start(ctx) }() // what goes wrong in it is missed by who waits for the Services
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return nil, fmt.Errorf("the driver has not seen the cluster: %w", ctx.Err())
	}
	return d, nil
}

// play makes the proxies of a namespace what its Deployment says, and has them say what they listen on.
func (d *driver) play(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	namespace := request.Name
	var deployment appsv1.Deployment
	err := d.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: contract.ProxyName}, &deployment)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, d.clear(ctx, namespace)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	listening, err := d.listening(ctx, namespace)
	if err != nil {
		return reconcile.Result{}, err
	}
	for i := range *deployment.Spec.Replicas {
		pod := fmt.Sprintf("%s-%d", contract.ProxyName, i)
		if err := d.run(ctx, &deployment, pod); err != nil {
			return reconcile.Result{}, err
		}
		if err := d.acknowledge(ctx, namespace, pod, listening.String()); err != nil {
			return reconcile.Result{}, err
		}
	}
	if deployment.Status.ObservedGeneration == deployment.Generation && len(deployment.Status.Conditions) > 0 {
		return reconcile.Result{}, nil
	}
	deployment.Status.ObservedGeneration = deployment.Generation
	deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}}
	return reconcile.Result{}, d.client.Status().Update(ctx, &deployment)
}

// run is what becomes of a pod of a Deployment: it is created, and ready.
func (d *driver) run(ctx context.Context, deployment *appsv1.Deployment, name string) error {
	pod := &corev1.Pod{}
	err := d.client.Get(ctx, client.ObjectKey{Namespace: deployment.Namespace, Name: name}, pod)
	if apierrors.IsNotFound(err) {
		pod = &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: deployment.Namespace, Name: name, Labels: deployment.Spec.Template.Labels},
			Spec:       *deployment.Spec.Template.Spec.DeepCopy(),
		}
		err = d.client.Create(ctx, pod)
	}
	if err != nil || len(pod.Status.Conditions) > 0 {
		return err
	}
	return makeReady(ctx, d.client, pod)
}

func makeReady(ctx context.Context, c client.Client, pod *corev1.Pod) error {
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(time.Now()),
	}}
	return c.Status().Update(ctx, pod)
}

// listening is what the ports of a namespace's Services ask its proxies to listen on.
func (d *driver) listening(ctx context.Context, namespace string) (contract.Listening, error) {
	var services corev1.ServiceList
	if err := d.client.List(ctx, &services, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	listening := contract.Listening{}
	for i := range services.Items {
		svc := &services.Items[i]
		ports, err := contract.ParsePorts(svc.Annotations[contract.PortsKey])
		if err != nil {
			return nil, err
		}
		for _, slot := range ports {
			listening[svc.UID] = append(listening[svc.UID], slot)
		}
	}
	return listening, nil
}

func (d *driver) acknowledge(ctx context.Context, namespace, pod, listening string) error {
	name := contract.PodLease(pod)
	var lease coordinationv1.Lease
	err := d.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &lease)
	if err == nil && lease.Annotations[contract.ListeningKey] == listening || client.IgnoreNotFound(err) != nil {
		return err
	}
	return d.client.Apply(ctx, applycoordinationv1.Lease(name, namespace).
		WithLabels(map[string]string{contract.LeaseLabel: contract.LeaseProxy}).
		WithAnnotations(map[string]string{contract.ListeningKey: listening}), client.FieldOwner("proxy"), client.ForceOwnership)
}

// clear removes what goes with a Deployment: its pods, and their Leases.
func (d *driver) clear(ctx context.Context, namespace string) error {
	for _, list := range []client.ObjectList{&corev1.PodList{}, &coordinationv1.LeaseList{}} {
		if err := d.client.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return err
		}
		err := meta.EachListItem(list, func(o runtime.Object) error {
			return client.IgnoreNotFound(d.client.Delete(ctx, o.(client.Object), client.GracePeriodSeconds(0)))
		})
		if err != nil {
			return err
		}
	}
	return nil
}
