package services

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// handOverLook is how often a proxy that is to end looks whether it may.
const handOverLook = 250 * time.Millisecond

// handOver accepts connections until endpoints everywhere lead elsewhere. If no other proxy is ready, kube-proxy goes on
// leading to those that end while they serve (KEP-1669), and who stops then takes the apps down: so it waits for a
// successor, or until the controller has stepped aside, for as long as leaves a quarter of the time for connections to
// end. deadline is when that is over.
func (m *Manager) handOver() (deadline time.Time) {
	delay := m.options.ShutdownDelay
	time.Sleep(delay)
	deadline = time.Now().Add(m.options.DrainTimeout)
	ctx, cancel := context.WithDeadline(context.Background(), deadline.Add(-m.options.DrainTimeout/4))
	defer cancel()
	look := time.NewTicker(handOverLook)
	defer look.Stop()
	for said := false; !m.succeeded(time.Now()); {
		if !said {
			m.log.Info("shutting down: still accepting, as no other proxy has been ready for long enough")
			said = true
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			m.log.Warn("shutting down without another proxy that is ready")
			return deadline
		}
	}
	return deadline
}

// succeeded reports whether nobody depends on this proxy's listeners: another one has been ready for as long as endpoints may
// take to lead there, or no Service leads to proxies.
func (m *Manager) succeeded(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	rewritten := func(svc *corev1.Service) bool { return contract.Phase(svc.Annotations[contract.PhaseKey]).Rewritten() }
	if !slices.ContainsFunc(m.world.managed, rewritten) {
		return true
	}
	return slices.ContainsFunc(m.world.Pods, func(pod *corev1.Pod) bool {
		since, ready := m.readySince[pod.UID]
		return pod.Labels[contract.SelectorKey] == contract.SelectorValue && pod.UID != m.options.PodUID &&
			ready && now.Sub(since) >= m.options.ShutdownDelay
	})
}
