package services

import (
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/target"
)

// awake reports whether connections to the target may be dialed.
func (w World) awake(t contract.Target) bool {
	v, ok := w.Views[t]
	return !ok || v.Awake
}

// reachable returns those of the ready pods behind a gate that will be there in a moment. None is while a target sleeps;
// and for a while after a wake those are not trusted that were ready before it, as the sleep's scaling down may still be
// on its way to them.
func (w World) reachable(ready []*corev1.Pod, gate []contract.Target) []*corev1.Pod {
	for _, t := range gate {
		if !w.awake(t) {
			return nil
		}
		woke := w.Views[t].WokeAt
		if woke.IsZero() || w.Now.Sub(woke) >= target.Doubt {
			continue
		}
		ready = slices.DeleteFunc(slices.Clone(ready), func(p *corev1.Pod) bool { return !w.ReadySince[p.UID].After(woke) })
	}
	return ready
}

// firstReady returns when the first of some ready pods was seen ready; the zero time if there are none.
func (w World) firstReady(ready []*corev1.Pod) time.Time {
	var first time.Time
	for _, pod := range ready {
		if since := w.ReadySince[pod.UID]; first.IsZero() || since.Before(first) {
			first = since
		}
	}
	return first
}

func isReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.PodIP != "" &&
		slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
}

// backends returns where a targetPort is found on each pod; pods that have no port of that name are left out, as the
// EndpointSlice controller does.
func backends(pods []*corev1.Pod, targetPort intstr.IntOrString, families []corev1.IPFamily) []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, pod := range pods {
		ip, err := podAddress(pod, families)
		port := containerPort(pod, targetPort)
		if err != nil || port == 0 {
			continue
		}
		addrs = append(addrs, netip.AddrPortFrom(ip, port))
	}
	slices.SortFunc(addrs, netip.AddrPort.Compare)
	return addrs
}

// podAddress returns the pod's address in the first of the Service's families that it has one in: what runs in the pod may
// listen in that family only, and without TPA nobody would call it in another.
func podAddress(pod *corev1.Pod, families []corev1.IPFamily) (netip.Addr, error) {
	for _, family := range families {
		for _, ip := range pod.Status.PodIPs {
			if addr, err := netip.ParseAddr(ip.IP); err == nil && addr.Is6() == (family == corev1.IPv6Protocol) {
				return addr, nil
			}
		}
	}
	return netip.ParseAddr(pod.Status.PodIP)
}

// containerPort resolves a targetPort on a pod; 0 if there is none.
func containerPort(pod *corev1.Pod, targetPort intstr.IntOrString) uint16 {
	if targetPort.Type == intstr.Int {
		return uint16(targetPort.IntVal)
	}
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for _, c := range containers {
			for _, p := range c.Ports {
				if p.Name == targetPort.StrVal && (p.Protocol == corev1.ProtocolTCP || p.Protocol == "") {
					return uint16(p.ContainerPort)
				}
			}
		}
	}
	return 0
}
