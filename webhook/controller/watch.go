package controller

import (
	"context"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"tpa.dev/tpa/proxy/contract"
)

// watch adds what wakes the reconciler. Each event ends up as the namespace that it happened in.
func (r *Reconciler) watch(b *builder.Builder) *builder.Builder {
	in := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		return []reconcile.Request{request(o.GetNamespace())}
	})
	when := func(differ func(before, after client.Object) bool) builder.WatchesOption {
		return builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
			return differ(e.ObjectOld, e.ObjectNew)
		}})
	}
	return b.
		Watches(&corev1.Service{}, in, when(servicesDiffer)).
		Watches(&corev1.Pod{}, in, when(podsDiffer)).
		Watches(&appsv1.Deployment{}, in, when(deploymentsDiffer)).
		Watches(&coordinationv1.Lease{}, in, when(r.leasesDiffer)).
		WatchesMetadata(metadata("v1", "ServiceAccount"), in, when(metadataDiffer)).
		WatchesMetadata(metadata("rbac.authorization.k8s.io/v1", "RoleBinding"), in, when(metadataDiffer)).
		WatchesMetadata(metadata("policy/v1", "PodDisruptionBudget"), in, when(metadataDiffer)).
		WatchesMetadata(metadata("v1", "Namespace"), r.namespaceEvents())
}

func request(namespace string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: namespace}}
}

// servicesDiffer is quiet about what others write beside the spec: a load balancer's status, annotations of GitOps.
func servicesDiffer(before, after client.Object) bool {
	a, b := before.(*corev1.Service), after.(*corev1.Service)
	return a.UID != b.UID || metadataDiffer(a, b) || !equality.Semantic.DeepEqual(a.Spec, b.Spec)
}

// metadataDiffer also compares the annotations, which are TPA's only: see ownAnnotations.
func metadataDiffer(before, after client.Object) bool {
	return !maps.Equal(before.GetLabels(), after.GetLabels()) || !maps.Equal(before.GetAnnotations(), after.GetAnnotations()) ||
		!before.GetDeletionTimestamp().Equal(after.GetDeletionTimestamp())
}

func podsDiffer(before, after client.Object) bool {
	a, b := before.(*corev1.Pod), after.(*corev1.Pod)
	return metadataDiffer(a, b) || !equality.Semantic.DeepEqual(a.Status, b.Status)
}

func deploymentsDiffer(before, after client.Object) bool {
	a, b := before.(*appsv1.Deployment), after.(*appsv1.Deployment)
	conditions := func(d *appsv1.Deployment) map[appsv1.DeploymentConditionType]corev1.ConditionStatus {
		m := map[appsv1.DeploymentConditionType]corev1.ConditionStatus{}
		for _, c := range d.Status.Conditions {
			m[c.Type] = c.Status
		}
		return m
	}
	return metadataDiffer(a, b) || a.Generation != b.Generation ||
		a.Status.ObservedGeneration != b.Status.ObservedGeneration || !maps.Equal(conditions(a), conditions(b))
}

// leasesDiffer is quiet about targets that proxies put to sleep and wake: that is none of the controller's business, and
// the most frequent event of all. Nor is what they say for people.
func (r *Reconciler) leasesDiffer(before, after client.Object) bool {
	a, b := before.(*coordinationv1.Lease), after.(*coordinationv1.Lease)
	if b.Labels[contract.LeaseLabel] != contract.LeaseTarget {
		a, b = a.DeepCopy(), b.DeepCopy()
		delete(a.Annotations, contract.UsageKey)
		delete(b.Annotations, contract.UsageKey)
		return metadataDiffer(a, b)
	}
	return !maps.Equal(a.Labels, b.Labels) || a.Annotations[contract.TargetKey] != b.Annotations[contract.TargetKey] ||
		r.Targets.Held(a) != r.Targets.Held(b)
}

// namespaceEvents wakes the reconciler for a namespace whose label, annotations or life changes. When TPA's own says that
// TPA is to go, or no longer, that concerns all.
func (r *Reconciler) namespaceEvents() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if r.invited(e.Object) {
				q.Add(request(e.Object.GetName()))
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			before, after := e.ObjectOld, e.ObjectNew
			switch {
			case after.GetName() == r.Options.Namespace:
				if uninstallDiffers(before, after) {
					r.wakeAll(ctx, q)
				}
			case metadataDiffer(before, after):
				if r.invited(after) && !r.invited(before) {
					r.memory.rescan(after.GetName(), r.Now())
				}
				q.Add(request(after.GetName()))
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) {
			if e.Object.GetName() == r.Options.Namespace {
				r.wakeAll(ctx, q)
				return
			}
			q.Add(request(e.Object.GetName()))
		},
	}
}

// wakeAll wakes the reconciler for each namespace that is opted in or holds something of TPA's.
func (r *Reconciler) wakeAll(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	log := ctrl.LoggerFrom(ctx)
	namespaces := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NamespaceList"}}
	if err := r.Client.List(ctx, namespaces, client.MatchingLabels{contract.InjectLabel: contract.InjectEnabled}); err != nil {
		log.Error(err, "list namespaces")
	}
	for _, o := range namespaces.Items {
		q.Add(request(o.Name))
	}
	var services corev1.ServiceList
	if err := r.Client.List(ctx, &services, managed, client.UnsafeDisableDeepCopy); err != nil {
		log.Error(err, "list services")
	}
	for i := range services.Items {
		q.Add(request(services.Items[i].Namespace))
	}
}
