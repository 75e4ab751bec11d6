package services

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/proxy/target"
)

// serve makes the fronts so; mu is held.
func (m *Manager) serve(plan Plan) {
	listening := contract.Listening{}
	var missing []error
	ports := 0
	for uid, sp := range plan.Services {
		if m.fronts[uid] == nil {
			m.fronts[uid], m.names[uid] = m.newFront(uid, sp.Name), sp.Name
		}
	}
	m.setPools(plan)
	for uid, sp := range plan.Services {
		f := m.fronts[uid]
		if m.problems[uid] != sp.Problem {
			m.problems[uid] = sp.Problem
			if sp.Problem != "" {
				m.log.Warn("service: cannot be read", zap.String("service", sp.Name), zap.String("problem", sp.Problem))
			}
		}
		settings := m.settings(uid, sp)
		f.SetSettings(settings)
		m.closeGates(uid, settings.Target)
		if !m.pools.fill(f, sp, plan.Dozes) {
			m.poke()
		}
		if m.closing {
			continue
		}
		if err := f.SetPorts(frontPorts(sp)); err != nil {
			m.log.Warn("service: cannot listen", zap.Error(err))
			time.AfterFunc(retryAfter, m.poke)
		}
		open := f.Listening()
		ports += len(open)
		for _, p := range sp.Ports {
			switch {
			case !slices.Contains(open, p.Listen):
				if sp.Phase.Rewritten() && !p.Lingers {
					missing = append(missing, fmt.Errorf("service %s: port %d is not open", sp.Name, p.Listen))
				}
			case !p.Lingers:
				listening[uid] = append(listening[uid], int32(p.Listen))
			}
		}
	}
	if !m.closing {
		m.bound(ports)
	}
	m.retireFronts(plan)
	m.notReady = errors.Join(missing...)
	m.ack.set(listening)
}

func frontPorts(sp ServicePlan) []front.Port {
	ports := make([]front.Port, len(sp.Ports))
	for i, p := range sp.Ports {
		ports[i] = front.Port{Listen: p.Listen, Passive: p.Passive}
	}
	return ports
}

func (m *Manager) settings(uid types.UID, sp ServicePlan) front.Settings {
	gate := m.gateFor(uid, sp.Gate)
	settings := front.Settings{
		Target:        gate,
		OnMissing:     m.onMissing(sp, gate),
		WakeTimeout:   sp.Settings.WakeTimeout,
		MaxHeld:       sp.Settings.MaxHeld,
		WakeOnData:    sp.Settings.WakeOnData,
		IgnoreSources: sp.Settings.IgnoreSources,
		Affinity:      sp.Affinity,
		ProxyProtocol: front.ProxyProtocol(sp.Settings.ProxyProtocol),
	}
	if sp.Settings.IdleWhenNoTraffic {
		settings.ParkAfter = sleep.Quiet(sp.Settings.IdleTimeout) // a claim is given up no sooner anyway
	}
	return settings
}

func (m *Manager) newFront(uid types.UID, name string) *front.Service {
	return front.New(front.Config{
		Name:   m.options.Namespace + "/" + name,
		Target: front.Open{},
		Loops:  m.options.Loops,
		Budget: &m.budget,

		Connections: &m.conns,

		OnError: func(err error) { m.log.Debug("connection", zap.Error(err)) },
		OnHeld: func(h front.Held) {
			m.held(name, h)
			if h.Outcome == front.WakeTimeout && m.lateness.note(uid, h.Waited) {
				m.poke()
			}
		},
	})
}

// held takes note of a connection that is held no more.
func (m *Manager) held(service string, h front.Held) {
	m.metrics.held(service, h.Waited, h.Outcome)
	if h.Outcome != front.Relayed {
		return
	}
	if g, ok := h.Target.(*gate); ok {
		for _, k := range g.keepers {
			k.Dialed(h.Connect)
		}
	}
}

// retireFronts drains the fronts of Services that are served no more; mu is held.
func (m *Manager) retireFronts(plan Plan) {
	if m.closing {
		return
	}
	for uid, f := range m.fronts {
		if _, ok := plan.Services[uid]; ok {
			continue
		}
		delete(m.fronts, uid)
		delete(m.names, uid)
		delete(m.problems, uid)
		delete(m.gates, uid)
		m.drains.Go(func() {
			f.CloseListeners()
			ctx, cancel := context.WithTimeout(m.keeping, m.options.DrainTimeout)
			defer cancel()
			if err := f.Drain(ctx); err != nil {
				m.log.Warn("drain", zap.Error(err))
			}
		})
	}
}

// keep makes the keepers so; mu is held.
func (m *Manager) keep(plan Plan) {
	if m.podsGone.Swap(false) {
		for _, k := range m.targets {
			k.PodsGone()
		}
	}
	for t, tp := range plan.Targets {
		k := m.targets[t]
		if k == nil || !k.SetUse(tp.Use) {
			k = m.startKeeper(t, tp.Use)
		}
		k.SetStarting(tp.Starting)
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
			m.metrics.forget(t)
		}
	})
	return k
}
