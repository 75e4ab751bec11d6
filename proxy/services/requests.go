package services

import (
	corev1 "k8s.io/api/core/v1"
	resourcehelpers "k8s.io/component-helpers/resource"

	"tpa.dev/tpa/proxy/contract"
)

// podRequests is what a pod as a whole requests, its init containers and its overhead included; nil if that is nothing.
func podRequests(pod *corev1.Pod) *corev1.ResourceRequirements {
	all := resourcehelpers.PodRequests(pod, resourcehelpers.PodResourcesOptions{})
	kept := corev1.ResourceList{}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if q, ok := all[name]; ok && !q.IsZero() {
			kept[name] = q
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return &corev1.ResourceRequirements{Requests: kept}
}

// requested is what each of some pods requests, by the one that requests most: they are alike, but while a rollout lasts.
func requested(pods []*corev1.Pod) (most contract.Requests) {
	for _, pod := range pods {
		if pod.Spec.Resources == nil {
			continue
		}
		of := pod.Spec.Resources.Requests
		most.CPU = max(most.CPU, of.Cpu().AsApproximateFloat64())
		most.Memory = max(most.Memory, of.Memory().AsApproximateFloat64())
	}
	return most
}
