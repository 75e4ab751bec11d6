package services

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
)

// linger is an earlier version of a Service, some of whose ports are not its own any more. Endpoints elsewhere may still
// point at them, so they are served for a while as they were.
type linger struct {
	service *corev1.Service
	until   time.Time
}

// linger returns the earlier versions of Services whose ports are still to be served; mu is held.
func (m *Manager) linger(w World, now time.Time) []*corev1.Service {
	served := make(map[types.UID]*corev1.Service, len(m.served))
	for _, svc := range w.Services {
		if isManaged(svc) {
			served[svc.UID] = svc
		}
	}
	for uid, was := range m.served {
		if is := served[uid]; is != was && lostPorts(was, is) {
			m.lingering = append(m.lingering, linger{was, now.Add(m.options.Linger)})
			time.AfterFunc(m.options.Linger, m.poke)
		}
	}
	m.served = served
	m.lingering = slices.DeleteFunc(m.lingering, func(l linger) bool { return !now.Before(l.until) })
	services := make([]*corev1.Service, len(m.lingering))
	for i, l := range m.lingering {
		services[i] = l.service
	}
	return services
}

// lostPorts reports whether a version of a Service had a proxy port that the later one, nil if there is none, has not.
func lostPorts(was, is *corev1.Service) bool {
	had, _ := contract.ParsePorts(was.Annotations[contract.PortsKey])
	has := contract.Ports{}
	if is != nil {
		has, _ = contract.ParsePorts(is.Annotations[contract.PortsKey])
	}
	for port, slot := range had {
		if has[port] != slot {
			return true
		}
	}
	return false
}
