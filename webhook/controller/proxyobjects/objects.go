package proxyobjects

import (
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
)

// Wanted returns the proxy's objects in the order to apply them: a pod that starts finds its identity and its rights.
// The Lease is among them only if the namespace sets a default that proxies must know.
func Wanted(namespace string, defaults contract.Defaults, config Config) ([]Object, error) {
	objects := []client.Object{
		serviceAccount(namespace),
		roleBinding(namespace),
		disruptionBudget(namespace),
		deployment(namespace, Replicas(defaults), config),
	}
	if defaults.IdleTimeout > 0 || defaults.Mode != contract.ModeSleep {
		objects = append([]client.Object{defaultsLease(namespace, defaults)}, objects...)
	}
	result := make([]Object, len(objects))
	for i, object := range objects {
		var err error
		if result[i], err = wanted(object); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// Replicas is how many proxies a namespace has.
func Replicas(defaults contract.Defaults) int32 {
	if defaults.ProxyReplicas > 0 {
		return defaults.ProxyReplicas
	}
	return contract.DefaultProxyReplicas
}

// Present returns the proxy's objects, to be looked up or deleted, with only their names. The Deployment comes last: it
// holds what the controller must remember of the namespace, so that as long as it is there, an interrupted removal goes on.
func Present(namespace string) []*metav1.PartialObjectMetadata {
	var objects []*metav1.PartialObjectMetadata
	for _, kind := range []metav1.TypeMeta{
		{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"},
		{APIVersion: "v1", Kind: "ServiceAccount"},
		{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
		{APIVersion: "apps/v1", Kind: "Deployment"},
	} {
		objects = append(objects, &metav1.PartialObjectMetadata{
			TypeMeta: kind, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: contract.ProxyName},
		})
	}
	return objects
}

func meta(namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: contract.ProxyName, Labels: Labels()}
}

func serviceAccount(namespace string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta: meta(namespace),
	}
}

func roleBinding(namespace string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"},
		ObjectMeta: meta(namespace),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: contract.ProxyClusterRole},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: contract.ProxyName}},
	}
}

func disruptionBudget(namespace string) *policyv1.PodDisruptionBudget {
	one := intstr.FromInt32(1)
	always := policyv1.AlwaysAllow // a proxy that is not ready serves nobody and must not hold up a drain
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: meta(namespace),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable:             &one,
			Selector:                   &metav1.LabelSelector{MatchLabels: Labels()},
			UnhealthyPodEvictionPolicy: &always,
		},
	}
}

// defaultsLease brings the namespace's defaults to where a proxy may read them.
func defaultsLease(namespace string, defaults contract.Defaults) *coordinationv1.Lease {
	lease := &coordinationv1.Lease{
		TypeMeta:   metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
		ObjectMeta: meta(namespace),
	}
	lease.Labels[contract.LeaseLabel] = contract.LeaseDefaults
	lease.Annotations = map[string]string{contract.ModeKey: defaults.Mode.String()}
	if defaults.IdleTimeout > 0 {
		lease.Annotations[contract.IdleTimeoutKey] = fmt.Sprint(defaults.IdleTimeout)
	}
	return lease
}
