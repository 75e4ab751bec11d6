package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// world is a namespace as it is watched. Nothing that it points to is changed.
type world struct {
	name      string
	namespace *metav1.PartialObjectMetadata
	// optedIn says that Services may be managed here.
	optedIn bool
	// services are the managed ones, oldest first, including those that are being deleted.
	services []*corev1.Service
	// proxies are the pods of the proxy that are not being deleted.
	proxies []corev1.Pod
	// listening is what each proxy pod acknowledges, by pod name.
	listening map[string]contract.Listening
	// targets are the targets' Leases.
	targets []targetLease
	// deployment is the proxy's; nil if there is none.
	deployment *appsv1.Deployment
	// present are the hashes of the proxy's objects that exist, by kind.
	present map[string]string
}

// targetLease is the Lease of a target.
type targetLease struct {
	target contract.Target
	lease  *coordinationv1.Lease
}

// offLimits reports whether a namespace is never opted in: a TPA that waits for itself cannot start, and without the
// cluster's own parts nothing can.
func (r *Reconciler) offLimits(namespace string) bool {
	return namespace == metav1.NamespaceSystem || namespace == r.Options.Namespace
}

// invited reports whether a namespace carries the label that opts it in, and is one of those that may.
func (r *Reconciler) invited(namespace client.Object) bool {
	return namespace.GetLabels()[contract.InjectLabel] == contract.InjectEnabled && namespace.GetDeletionTimestamp() == nil &&
		(r.Options.namespaces == nil || r.Options.namespaces.Matches(labels.Set(namespace.GetLabels())))
}

// leaving reports whether TPA is about to be removed from the cluster.
func (r *Reconciler) leaving(ctx context.Context) (bool, error) {
	own, err := r.readNamespace(ctx, r.Options.Namespace)
	if err != nil || own == nil {
		return false, err
	}
	asked := own.GetLabels()[contract.UninstallLabel]
	switch {
	case asked == contract.UninstallTrue, own.GetDeletionTimestamp() != nil:
		return true, nil // whoever deletes it without asking first gets what can still be done
	case asked == "":
		return false, nil
	}
	self, err := r.selfUID(ctx)
	return err == nil && asked == self, err
}

// selfUID is the UID of TPA's own ServiceAccount, which is another one in the next installation; empty if there is none.
func (r *Reconciler) selfUID(ctx context.Context) (string, error) {
	return r.memory.uid(func() (types.UID, error) {
		self := metadata("v1", "ServiceAccount")
		err := r.Live.Get(ctx, client.ObjectKey{Namespace: r.Options.Namespace, Name: r.Options.ServiceAccount}, self)
		if client.IgnoreNotFound(err) != nil {
			return "", fmt.Errorf("read service account %s/%s: %w", r.Options.Namespace, r.Options.ServiceAccount, err)
		}
		return self.UID, nil
	})
}

// uninstallDiffers reports whether TPA's own Namespace says something else about whether TPA is to go.
func uninstallDiffers(before, after client.Object) bool {
	return before.GetLabels()[contract.UninstallLabel] != after.GetLabels()[contract.UninstallLabel] ||
		!before.GetDeletionTimestamp().Equal(after.GetDeletionTimestamp())
}

// readNamespace returns a Namespace's metadata; nil if it does not exist.
func (r *Reconciler) readNamespace(ctx context.Context, name string) (*metav1.PartialObjectMetadata, error) {
	namespace := metadata("v1", "Namespace")
	err := r.Client.Get(ctx, client.ObjectKey{Name: name}, namespace)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read namespace %s: %w", name, err)
	}
	return namespace, nil
}

func metadata(apiVersion, kind string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}}
}

// observe reads a namespace; nil if there is nothing to do in it.
func (r *Reconciler) observe(ctx context.Context, name string) (*world, error) {
	if r.offLimits(name) {
		return nil, nil
	}
	namespace, err := r.readNamespace(ctx, name)
	if err != nil || namespace == nil || namespace.DeletionTimestamp != nil {
		return nil, err // one that is being deleted takes everything in it with it
	}
	leaving, err := r.leaving(ctx)
	if err != nil {
		return nil, err
	}
	w := &world{name: name, namespace: namespace, optedIn: r.invited(namespace) && !leaving}
	for _, read := range []func(context.Context, *world) error{r.readServices, r.readProxies, r.readLeases, r.readObjects} {
		if err := read(ctx, w); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (r *Reconciler) readServices(ctx context.Context, w *world) error {
	var list corev1.ServiceList
	if err := r.Client.List(ctx, &list, client.InNamespace(w.name), managed); err != nil {
		return fmt.Errorf("list services of %s: %w", w.name, err)
	}
	w.services = managedServices(list.Items)
	return nil
}

// managed selects the managed Services.
var managed = client.MatchingLabels{contract.ManagedLabel: contract.ManagedTrue}

func managedServices(items []corev1.Service) []*corev1.Service {
	var services []*corev1.Service
	for i := range items {
		if phaseOf(&items[i]) != "" {
			services = append(services, &items[i])
		}
	}
	slices.SortFunc(services, func(a, b *corev1.Service) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
	})
	return services
}

func (r *Reconciler) readProxies(ctx context.Context, w *world) error {
	var list corev1.PodList
	if err := r.Client.List(ctx, &list, client.InNamespace(w.name), client.MatchingLabels(proxyobjects.Labels())); err != nil {
		return fmt.Errorf("list proxies of %s: %w", w.name, err)
	}
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			w.proxies = append(w.proxies, pod)
		}
	}
	return nil
}

func (r *Reconciler) readLeases(ctx context.Context, w *world) error {
	var list coordinationv1.LeaseList
	if err := r.Client.List(ctx, &list, client.InNamespace(w.name), client.HasLabels{contract.LeaseLabel}); err != nil {
		return fmt.Errorf("list leases of %s: %w", w.name, err)
	}
	w.listening, w.present = map[string]contract.Listening{}, map[string]string{}
	for i := range list.Items {
		lease := &list.Items[i]
		switch lease.Labels[contract.LeaseLabel] {
		case contract.LeaseProxy:
			if l, err := contract.ParseListening(lease.Annotations[contract.ListeningKey]); err == nil {
				w.listening[lease.Name] = l
			}
		case contract.LeaseTarget:
			// A Lease under another name is none of the proxies'.
			if t, err := contract.ParseTarget(lease.Annotations[contract.TargetKey]); err == nil && t.Lease() == lease.Name {
				w.targets = append(w.targets, targetLease{t, lease})
			}
		case contract.LeaseDefaults:
			if lease.Name == contract.ProxyName {
				w.present["Lease"] = lease.Annotations[proxyobjects.HashKey]
			}
		}
	}
	return nil
}

func (r *Reconciler) readObjects(ctx context.Context, w *world) error {
	for _, object := range proxyobjects.Present(w.name) {
		if object.Kind == "Lease" {
			continue
		}
		var into client.Object = object
		if object.Kind == "Deployment" {
			into = &appsv1.Deployment{}
		}
		err := r.Client.Get(ctx, client.ObjectKeyFromObject(object), into)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s %s/%s: %w", object.Kind, w.name, object.Name, err)
		}
		if into.GetDeletionTimestamp() != nil {
			continue
		}
		w.present[object.Kind] = into.GetAnnotations()[proxyobjects.HashKey]
		if d, ok := into.(*appsv1.Deployment); ok {
			w.deployment = d
		}
	}
	return nil
}

func phaseOf(svc *corev1.Service) contract.Phase {
	return contract.Phase(svc.Annotations[contract.PhaseKey])
}

func hasTarget(svc *corev1.Service) bool {
	_, ok := svc.Annotations[contract.TargetKey]
	return ok
}

// targetsOf returns the targets that a Service names.
func targetsOf(svc *corev1.Service) []contract.Target {
	settings, _ := contract.Parse(svc.Annotations, contract.Defaults{}) // a bad value elsewhere does not matter here
	return settings.Targets
}

// readyAt returns since when a pod is ready; the zero time if it is not.
func readyAt(pod *corev1.Pod) time.Time {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

func isReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// readyProxies returns the proxies that Services send connections to.
func (w *world) readyProxies() []*corev1.Pod {
	var ready []*corev1.Pod
	for i := range w.proxies {
		if isReady(&w.proxies[i]) {
			ready = append(ready, &w.proxies[i])
		}
	}
	return ready
}

// available reports whether the proxy's Deployment stands as it was asked to.
func (w *world) available() bool {
	return w.deployment != nil && w.deployment.Status.ObservedGeneration >= w.deployment.Generation &&
		slices.ContainsFunc(w.deployment.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
			return c.Type == appsv1.DeploymentAvailable && c.Status == corev1.ConditionTrue
		})
}

// acknowledged reports whether each ready proxy, one at least, listens on all ports of a Service.
func (w *world) acknowledged(svc *corev1.Service, ports contract.Ports) bool {
	ready := w.readyProxies()
	for _, pod := range ready {
		if !w.listening[contract.PodLease(pod.Name)].Acknowledges(svc.UID, ports) {
			return false
		}
	}
	return len(ready) > 0
}
