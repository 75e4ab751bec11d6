package services

import (
	"time"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/target"
)

// keep makes the keepers so; mu is held.
func (m *Manager) keep(plan Plan) {
	if m.podsGone.Swap(false) {
		for _, k := range m.targets {
			k.PodsGone()
		}
	}
	for t, tp := range plan.changedTargets() {
		k := m.targets[t]
		if k == nil || !k.SetUse(tp.Use) {
			k = m.startKeeper(t, tp.Use)
		}
		k.SetStarting(tp.Starting)
		k.SetPod(tp.Pod)
		k.SetReady(tp.Ready, tp.ReadySince)
		if tp.Missing != "" && tp.Starting {
			k.Look()
		}
	}
	m.announcer.set(m.notices(plan, time.Now()))
}

// retireKeepers retires the keepers of targets that are served no more, after serve: a keeper that has ended lets nobody
// pass, so no Service may lead there. mu is held.
func (m *Manager) retireKeepers(plan Plan) {
	if plan.Changed != nil {
		return // they are the same
	}
	for t, k := range m.targets {
		if _, ok := plan.Targets[t]; !ok {
			k.Retire()
		}
	}
}

// startKeeper starts a keeper, which stays until it has retired; mu is held.
func (m *Manager) startKeeper(t contract.Target, use target.Use) *target.Keeper {
	k := m.newKeeper(t)
	k.SetUse(use)
	m.targets[t], m.leases[t.Lease()] = k, k
	m.keepers.Go(func() {
		k.Run(m.keeping)
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.targets[t] == k {
			delete(m.targets, t)
			delete(m.leases, t.Lease())
			delete(m.podSelectors, t)
			delete(m.denied, t)
			m.anew = true
			m.metrics.forgetTarget(t)
		}
	})
	return k
}
