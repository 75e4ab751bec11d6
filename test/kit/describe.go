package kit

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
)

// Describe puts what matters to TPA about an object into a line.
func Describe(object client.Object) string {
	switch o := object.(type) {
	case *corev1.Service:
		ports := make([]string, 0, len(o.Spec.Ports))
		for _, p := range o.Spec.Ports {
			ports = append(ports, fmt.Sprintf("%d>%s", p.Port, p.TargetPort.String()))
		}
		return fmt.Sprintf("service %s: selector %v, ports %s, labels %v, annotations %v", o.Name, o.Spec.Selector,
			strings.Join(ports, " "), o.Labels, o.Annotations)
	case *appsv1.Deployment:
		return fmt.Sprintf("deployment %s: generation %d, %d replicas wanted, %d there, %d ready", o.Name, o.Generation,
			Replicas(o), o.Status.Replicas, o.Status.ReadyReplicas)
	case *corev1.Pod:
		line := fmt.Sprintf("pod %s: %s, ready %t, on %s at %s", o.Name, o.Status.Phase, Ready(o), o.Spec.NodeName, o.Status.PodIP)
		if o.DeletionTimestamp != nil {
			line += ", being deleted"
		}
		for _, s := range o.Status.ContainerStatuses {
			if s.State.Waiting != nil {
				line += fmt.Sprintf(", %s waits: %s %s", s.Name, s.State.Waiting.Reason, s.State.Waiting.Message)
			}
			if s.RestartCount > 0 {
				line += fmt.Sprintf(", %s restarted %d times", s.Name, s.RestartCount)
			}
		}
		return line
	case *coordinationv1.Lease:
		return fmt.Sprintf("lease %s: %s%s", o.Name, o.Annotations[contract.StateKey], o.Annotations[contract.ListeningKey])
	case *corev1.Event:
		return fmt.Sprintf("event %s %s/%s: %s: %s", o.LastTimestamp.Format("15:04:05"), o.InvolvedObject.Kind,
			o.InvolvedObject.Name, o.Reason, o.Message)
	}
	return fmt.Sprintf("%T %s", object, object.GetName())
}

func (c Change[T]) String() string {
	line := c.At.Format("15:04:05.000 ") + Describe(c.Object)
	if c.Deleted {
		line += " (deleted)"
	}
	return line
}

// Replicas is what a Deployment asks for.
func Replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// Ready reports whether a pod is a backend: ready and not on its way out.
func Ready(p *corev1.Pod) bool {
	if p.DeletionTimestamp != nil {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Restarts is how often the containers of a pod were started again.
func Restarts(p *corev1.Pod) int32 {
	var n int32
	for _, s := range p.Status.ContainerStatuses {
		n += s.RestartCount
	}
	return n
}
