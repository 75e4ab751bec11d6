package apiserver

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
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
)

// PlayOptions say what is played. The zero value plays all Deployments.
type PlayOptions struct {
	// Labels leave out the Deployments and pods that lack one of them: for who has thousands that stay as they are.
	Labels map[string]string
	// Services, if any, is told of the managed Services, too, as the player sees them.
	Services toolscache.ResourceEventHandler
}

// Play plays in all namespaces until the returned function is called, which waits for the end.
func (s *Server) Play(ctx context.Context, o PlayOptions) (stop func() error, err error) {
	played := cache.ByObject{Label: labels.SelectorFromSet(o.Labels)}
	mgr, err := ctrl.NewManager(s.Config, ctrl.Options{
		Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&appsv1.Deployment{}:    played,
				&corev1.Pod{}:           played,
				&corev1.Service{}:       {Label: labels.Set{contract.ManagedLabel: contract.ManagedTrue}.AsSelector()},
				&coordinationv1.Lease{}: {Label: labels.Set{contract.LeaseLabel: contract.LeaseProxy}.AsSelector()},
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("set up the player: %w", err)
	}
	if err := (&player{mgr.GetClient()}).watch(ctx, mgr, o.Services); err != nil {
		return nil, fmt.Errorf("set up the player: %w", err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- mgr.Start(running) }()
	return func() error { cancel(); return <-done }, nil
}

// watch has an event of what the player acts on end up as the namespace that it happened in.
func (p *player) watch(ctx context.Context, mgr ctrl.Manager, services toolscache.ResourceEventHandler) error {
	in := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		name := o.GetNamespace()
		if name == "" {
			name = o.GetName()
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: name}}}
	})
	changed := func(annotation string) builder.WatchesOption {
		return builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetAnnotations()[annotation] != e.ObjectNew.GetAnnotations()[annotation]
		}})
	}
	if services != nil {
		informer, err := mgr.GetCache().GetInformer(ctx, &corev1.Service{})
		if err != nil {
			return err
		}
		if _, err := informer.AddEventHandler(services); err != nil {
			return err
		}
	}
	return ctrl.NewControllerManagedBy(mgr).Named("player").
		Watches(&corev1.Namespace{}, in, changed(FailKey)).Watches(&corev1.Service{}, in, changed(contract.PortsKey)).
		Watches(&appsv1.Deployment{}, in).Watches(&corev1.Pod{}, in).Watches(&coordinationv1.Lease{}, in).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(p)
}
