package services

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stripService takes away what is big in a Service and of no use to Plan.
func stripService(svc *corev1.Service) *corev1.Service {
	delete(svc.Annotations, corev1.LastAppliedConfigAnnotation)
	svc.Status = corev1.ServiceStatus{}
	return svc
}

// StripPod keeps of a Pod what Plan needs. It does not change its argument.
func StripPod(pod *corev1.Pod) *corev1.Pod {
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, Labels: pod.Labels,
			ResourceVersion: pod.ResourceVersion, DeletionTimestamp: pod.DeletionTimestamp,
		},
		Status: corev1.PodStatus{PodIP: pod.Status.PodIP, PodIPs: pod.Status.PodIPs},
	}
	for _, c := range pod.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady:
			kept.Status.Conditions = append(kept.Status.Conditions, corev1.PodCondition{Type: c.Type, Status: c.Status})
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			kept.Status.Conditions = append(kept.Status.Conditions, corev1.PodCondition{Type: c.Type, Status: c.Status, Reason: c.Reason})
		}
	}
	kept.Status.InitContainerStatuses = stripStatuses(pod.Status.InitContainerStatuses)
	kept.Status.ContainerStatuses = stripStatuses(pod.Status.ContainerStatuses)
	kept.Spec.Resources = podRequests(pod)
	for _, c := range pod.Spec.Containers {
		kept.Spec.Containers = append(kept.Spec.Containers, corev1.Container{Ports: c.Ports})
	}
	for _, c := range pod.Spec.InitContainers {
		kept.Spec.InitContainers = append(kept.Spec.InitContainers, corev1.Container{Ports: c.Ports})
	}
	return kept
}

// stripStatuses keeps those of containers that do not run, and why they do not.
func stripStatuses(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	var kept []corev1.ContainerStatus
	for _, s := range statuses {
		if reason := stuck(s.State); reason != "" {
			waits := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
			kept = append(kept, corev1.ContainerStatus{Name: s.Name, State: waits})
		}
	}
	return kept
}
