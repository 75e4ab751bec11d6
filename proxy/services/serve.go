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
)

// carried is what carrying a Service's plan out has come to.
type carried struct {
	listening []int32 // to be acknowledged
	open      int     // ports
	missing   []error
}

// same reports whether all is the same in both, with no port missing.
func (c carried) same(other carried) bool {
	return c.open == other.open && slices.Equal(c.listening, other.listening) && len(c.missing)+len(other.missing) == 0
}

// serve makes the fronts so; mu is held.
func (m *Manager) serve(plan Plan) {
	all := plan.Changed == nil
	if all {
		for uid, sp := range plan.Services {
			if m.fronts[uid] == nil {
				m.fronts[uid], m.names[uid] = m.newFront(uid, sp.Name), sp.Name
			}
		}
		m.setPools(plan)
		m.carried = make(map[types.UID]carried, len(plan.Services))
	}
	m.unfinished = map[types.UID]bool{}
	changed := all
	for uid, sp := range plan.changedServices() {
		c := m.serveOne(uid, sp, plan.Dozes)
		changed = changed || !c.same(m.carried[uid])
		m.carried[uid] = c
	}
	if changed {
		m.account()
	}
	if all {
		m.retireFronts(plan)
	}
}

// serveOne makes the front of a Service so; mu is held.
func (m *Manager) serveOne(uid types.UID, sp ServicePlan, seen map[contract.Target]int) (c carried) {
	f := m.fronts[uid]
	if m.problems[uid] != sp.Problem {
		m.problems[uid] = sp.Problem
		if sp.Problem != "" {
			m.log.Warn("service: cannot be read", zap.String("service", sp.Name), zap.String("problem", sp.Problem))
		}
	}
	settings := m.settings(uid, sp)
	f.SetSettings(settings)
	if m.closeGates(uid, settings.Target) || sp.Late != "" {
		m.unfinished[uid] = true
	}
	if !m.pools.fill(f, sp, seen) {
		m.unfinished[uid] = true
		m.poke()
	}
	if m.closing {
		return c
	}
	if err := f.SetPorts(frontPorts(sp)); err != nil {
		m.log.Warn("service: cannot listen", zap.Error(err))
		m.unfinished[uid] = true
		time.AfterFunc(retryAfter, m.poke)
	}
	open := f.Listening()
	c.open = len(open)
	for _, p := range sp.Ports {
		switch {
		case !slices.Contains(open, p.Listen):
			if sp.Phase.Rewritten() && !p.Lingers {
				c.missing = append(c.missing, fmt.Errorf("service %s: port %d is not open", sp.Name, p.Listen))
			}
		case !p.Lingers:
			c.listening = append(c.listening, int32(p.Listen))
		}
	}
	return c
}

// account makes the sum of what has been carried out; mu is held.
func (m *Manager) account() {
	listening := contract.Listening{}
	var missing []error
	ports := 0
	for uid, c := range m.carried {
		ports += c.open
		missing = append(missing, c.missing...)
		if len(c.listening) > 0 {
			listening[uid] = c.listening
		}
	}
	if !m.closing {
		m.bound(ports)
	}
	m.notReady = errors.Join(missing...)
	m.ack.set(listening)
}

func frontPorts(sp ServicePlan) []front.Port {
	ports := make([]front.Port, len(sp.Ports))
	for i, p := range sp.Ports {
		ports[i] = front.Port{Listen: p.Listen, Number: p.Port, Passive: p.Passive}
	}
	return ports
}

func (m *Manager) settings(uid types.UID, sp ServicePlan) front.Settings {
	gate := m.gateFor(uid, sp.Name, sp.Gate)
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
	var f *front.Service
	f = front.New(front.Config{
		Name:   m.options.Namespace + "/" + name,
		Target: front.Open{},
		Loops:  m.options.Loops,
		Budget: &m.budget,

		Connections: &m.conns,

		OnError: func(err error) { m.log.Debug("connection", zap.Error(err)) },
		OnHold:  func() { m.pools.hold(f) },
		OnHeld: func(h front.Held) {
			m.held(name, h)
			if h.Outcome == front.WakeTimeout && m.lateness.note(uid, h.Waited) {
				m.poke()
			}
		},
	})
	return f
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
		name := m.names[uid]
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
			m.forgetService(name)
		})
	}
}
