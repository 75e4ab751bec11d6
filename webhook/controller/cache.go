package controller

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// Cache restricts what the manager watches to managed Services, TPA's own objects and the metadata of Namespaces, and
// what it keeps of them to what the controller looks at: a cluster's size is no cost, only what is managed is.
func Cache() cache.Options {
	services := labels.SelectorFromSet(labels.Set(managed))
	proxies := labels.SelectorFromSet(proxyobjects.Labels())
	leases := labels.NewSelector()
	if exists, err := labels.NewRequirement(contract.LeaseLabel, selection.Exists, nil); err == nil { // a constant
		leases = leases.Add(*exists)
	}
	return cache.Options{
		DefaultTransform: strip,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Service{}:               {Label: services},
			&corev1.Pod{}:                   {Label: proxies},
			&appsv1.Deployment{}:            {Label: proxies},
			&corev1.ServiceAccount{}:        {Label: proxies},
			&rbacv1.RoleBinding{}:           {Label: proxies},
			&policyv1.PodDisruptionBudget{}: {Label: proxies},
			&coordinationv1.Lease{}:         {Label: leases},
		},
	}
}

// strip drops what the controller does not look at. It never sends a watched object back as a whole.
func strip(o any) (any, error) {
	object, ok := o.(metav1.Object)
	if !ok {
		return o, nil
	}
	object.SetManagedFields(nil)
	switch o := o.(type) {
	case *corev1.Service:
		ownAnnotations(o)
		o.Status = corev1.ServiceStatus{}
	case *corev1.Pod:
		return stripPod(o), nil
	case *appsv1.Deployment:
		ownAnnotations(o)
		o.Spec.Template = corev1.PodTemplateSpec{}
	case *coordinationv1.Lease:
		ownAnnotations(o)
		o.OwnerReferences = nil
	case *metav1.PartialObjectMetadata:
		ownAnnotations(o)
	}
	return o, nil
}

// ownAnnotations keeps TPA's annotations only: an applied manifest, which is in one of the others, is as large as the object.
func ownAnnotations(o metav1.Object) {
	kept := map[string]string{}
	for key, value := range o.GetAnnotations() {
		if strings.HasPrefix(key, contract.Prefix) {
			kept[key] = value
		}
	}
	o.SetAnnotations(kept)
}

func stripPod(pod *corev1.Pod) *corev1.Pod {
	kept := &corev1.Pod{
		TypeMeta: pod.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
			Labels: pod.Labels, DeletionTimestamp: pod.DeletionTimestamp,
		},
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady || c.Type == corev1.PodScheduled {
			kept.Status.Conditions = append(kept.Status.Conditions, c)
		}
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Waiting != nil {
			kept.Status.ContainerStatuses = append(kept.Status.ContainerStatuses, corev1.ContainerStatus{
				Name: s.Name, State: corev1.ContainerState{Waiting: s.State.Waiting},
			})
		}
	}
	return kept
}
