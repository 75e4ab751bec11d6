package services

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// handOverLook is how often a proxy that is to end looks whether it may.
const handOverLook = 250 * time.Millisecond

// handOver accepts connections until endpoints everywhere lead elsewhere, and none has come for as long as that may take: a
// node that was cut off leads its clients by what it knew before. If no other proxy is ready, kube-proxy goes on
// leading to those that end while they serve (KEP-1669), and who stops then takes the apps down: so it waits for a
// successor, or until the controller has stepped aside. All that for as long as leaves a quarter of the time for connections to
// end. deadline is when that is over. accepted counts connections.
func (m *Manager) handOver(accepted func() int64) (deadline time.Time) {
	delay, began := m.options.ShutdownDelay, time.Now()
	deadline = began.Add(delay + m.options.DrainTimeout)
	look := time.NewTicker(handOverLook)
	defer look.Stop()
	alone := time.Time{} // since when no Service leads to proxies
	came, count := began, accepted()
	for now := began; ; now = <-look.C {
		if n := accepted(); n != count {
			came, count = now, n
		}
		leads, another := m.leads(now)
		switch {
		case leads:
			alone = time.Time{}
		case alone.IsZero():
			alone = now
		}
		if now.Sub(came) >= delay && (another || !leads && now.Sub(alone) >= delay) {
			return deadline
		}
		if !now.Before(deadline.Add(-m.options.DrainTimeout / 4)) {
			m.log.Warn("shutting down although connections still come, or no other proxy has been ready for long enough")
			return deadline
		}
	}
}

// accepted counts the connections that came to the Services that are served.
func (m *Manager) accepted() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.fronts {
		n += f.Stats().Accepted()
	}
	return n
}

// leads reports whether a Service leads to proxies, and whether another one has been ready for as long as endpoints may take
// to lead there.
func (m *Manager) leads(now time.Time) (leads, another bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	leads = slices.ContainsFunc(m.world.managed, func(svc *corev1.Service) bool {
		return contract.Phase(svc.Annotations[contract.PhaseKey]).Rewritten()
	})
	another = slices.ContainsFunc(m.world.Pods, func(pod *corev1.Pod) bool {
		since, ready := m.readySince[pod.UID]
		return pod.Labels[contract.SelectorKey] == contract.SelectorValue && pod.UID != m.options.PodUID &&
			ready && now.Sub(since) >= m.options.ShutdownDelay
	})
	return leads, another
}
