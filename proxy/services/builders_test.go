package services

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

const namespace = "shop"

var (
	web   = contract.Target{Resource: "deployments", Group: "apps", Name: "web"}
	db    = contract.Target{Resource: "statefulsets", Group: "apps", Name: "db"}
	epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// service builds a Service; each method changes it and returns it.
type service struct {
	svc      *corev1.Service
	slots    contract.Ports
	original contract.Original
}

// makeService returns an unmanaged Service that selects app=<name>.
func makeService(name string) *service {
	return &service{
		svc: &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(epoch),
				Labels: map[string]string{}, Annotations: map[string]string{},
			},
			Spec: corev1.ServiceSpec{Selector: map[string]string{"app": name}},
		},
		slots: contract.Ports{},
		original: contract.Original{
			Selector: map[string]string{"app": name}, TargetPorts: map[int32]intstr.IntOrString{},
		},
	}
}

// port adds a port whose targetPort is a number or a name; slot is 0 if none is allocated.
func (s *service) port(number int32, name string, target any, slot int32) *service {
	targetPort := intstr.Parse(name)
	switch target := target.(type) {
	case int:
		targetPort = intstr.FromInt32(int32(target))
	case string:
		targetPort = intstr.FromString(target)
	}
	s.svc.Spec.Ports = append(s.svc.Spec.Ports, corev1.ServicePort{Name: name, Port: number, TargetPort: targetPort})
	s.original.TargetPorts[number] = targetPort
	if slot != 0 {
		s.slots[number] = slot
	}
	return s
}

func (s *service) selects(key, value string) *service {
	s.svc.Spec.Selector = map[string]string{key: value}
	s.original.Selector = map[string]string{key: value}
	return s
}

// age makes the Service that much older than others.
func (s *service) age(d time.Duration) *service {
	s.svc.CreationTimestamp = metav1.NewTime(epoch.Add(-d))
	return s
}

func (s *service) annotate(key, value string) *service {
	s.svc.Annotations[key] = value
	return s
}

func (s *service) affinity() *service {
	s.svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	return s
}

// managed puts the Service in a phase as TPA does. No target leaves the annotation out.
func (s *service) managed(phase contract.Phase, target string) *service {
	s.svc.Labels[contract.ManagedLabel] = contract.ManagedTrue
	s.annotate(contract.PhaseKey, string(phase))
	s.annotate(contract.PortsKey, s.slots.String())
	s.annotate(contract.OriginalKey, s.original.String())
	if target != "" {
		s.annotate(contract.TargetKey, target)
	}
	if phase.Rewritten() {
		s.svc.Spec.Selector = contract.ProxySelector()
		for i, p := range s.svc.Spec.Ports {
			s.svc.Spec.Ports[i].TargetPort = intstr.FromString(contract.PendingTargetPort)
			if slot, ok := s.slots[p.Port]; ok {
				s.svc.Spec.Ports[i].TargetPort = intstr.FromInt32(slot)
			}
		}
	}
	return s
}

func (s *service) obj() *corev1.Service { return s.svc }

// active is a Service on a target of its own name, port 80 to 8080 through a slot.
func active(name string, slot int32) *service {
	return makeService(name).port(80, "http", 8080, slot).managed(contract.Active, name)
}

// pod builds a Pod.
type pod struct{ pod *corev1.Pod }

// makePod returns a ready pod with the label app=<app> and the port http=8080.
func makePod(name, app, ip string) *pod {
	return &pod{&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{"app": app},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:1", Ports: []corev1.ContainerPort{
			{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP},
		}}}},
		Status: corev1.PodStatus{
			PodIP: ip, Phase: corev1.PodRunning,
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionTrue},
			},
		},
	}}
}

func (p *pod) label(key, value string) *pod {
	p.pod.Labels[key] = value
	return p
}

func (p *pod) readiness(status corev1.ConditionStatus) *pod {
	p.pod.Status.Conditions[1].Status = status
	return p
}

// addresses are all that the pod has, the one that it was made with first.
func (p *pod) addresses(ips ...string) *pod {
	for _, ip := range ips {
		p.pod.Status.PodIPs = append(p.pod.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	return p
}

func (p *pod) terminating() *pod {
	p.pod.DeletionTimestamp = &metav1.Time{Time: epoch}
	return p
}

func (p *pod) named(name string, port int32, protocol corev1.Protocol) *pod {
	c := &p.pod.Spec.Containers[0]
	c.Ports = append(c.Ports, corev1.ContainerPort{Name: name, ContainerPort: port, Protocol: protocol})
	return p
}

func (p *pod) sidecar(name string, port int32) *pod {
	always := corev1.ContainerRestartPolicyAlways
	p.pod.Spec.InitContainers = append(p.pod.Spec.InitContainers, corev1.Container{
		Name: "sidecar", RestartPolicy: &always, Ports: []corev1.ContainerPort{{Name: name, ContainerPort: port}},
	})
	return p
}

func (p *pod) obj() *corev1.Pod { return p.pod }

func addrs(list ...string) []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, s := range list {
		addrs = append(addrs, netip.MustParseAddrPort(s))
	}
	return addrs
}
