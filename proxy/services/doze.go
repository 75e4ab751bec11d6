package services

import (
	"maps"
	"slices"
	"sync"
	"time"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/target"
)

// When a target leaves Awake, the pods that were ready until then are about to go. They must be out of the pools before
// the gate can open again, which may be a moment later and before the watches have heard of anything. So the keeper
// itself has them emptied, without waiting for a plan, and a plan that was made before that does not fill them again: not
// even for the moment until the next one, in which a connection could pass.

// pools are where connections find their backends. The zero value has none.
type pools struct {
	mu     sync.Mutex
	behind map[contract.Target][]pool
	// keepers are those of the targets that each front is before.
	keepers map[*front.Service][]*target.Keeper
	// dozes counts how often each target has left Awake.
	dozes map[contract.Target]int
}

// pool is that of one Service port.
type pool struct {
	front  *front.Service
	listen uint16
}

// doze empties the pools behind a target. It takes no lock of the Manager's or a keeper's.
func (p *pools) doze(t contract.Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dozes == nil {
		p.dozes = map[contract.Target]int{}
	}
	p.dozes[t]++
	for _, pool := range p.behind[t] {
		pool.front.SetBackends(pool.listen, nil)
	}
}

// seen is how often each target has left Awake so far.
func (p *pools) seen() map[contract.Target]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.dozes)
}

// fill gives a Service's pools their backends, as planned when targets had left Awake so often; it empties them and
// reports false if one of the Service's has left it since.
func (p *pools) fill(f *front.Service, sp ServicePlan, seen map[contract.Target]int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := !slices.ContainsFunc(sp.Gate, func(t contract.Target) bool { return p.dozes[t] != seen[t] })
	for _, port := range sp.Ports {
		if fresh {
			f.SetBackends(port.Listen, port.Backends)
		} else {
			f.SetBackends(port.Listen, nil)
		}
	}
	return fresh
}

// wait reports whether a connection to a target may wait for a backend. It takes no lock of the Manager's or a keeper's.
func (p *pools) wait(t contract.Target) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.behind == nil || slices.ContainsFunc(p.behind[t], func(p pool) bool { return p.front.Stats().Held() > 0 })
}

// hold tells the keepers of a front's targets that a connection there may wait for a backend. It takes no lock of the Manager's.
func (p *pools) hold(f *front.Service) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.keepers[f] {
		k.Held()
	}
}

// setPools notes which pools are behind each target; mu is held.
func (m *Manager) setPools(plan Plan) {
	behind := make(map[contract.Target][]pool, len(plan.Targets))
	keepers := make(map[*front.Service][]*target.Keeper, len(plan.Services))
	for uid, sp := range plan.Services {
		f := m.fronts[uid]
		for _, t := range sp.Gate {
			if k := m.targets[t]; k != nil {
				keepers[f] = append(keepers[f], k)
			}
			for _, p := range sp.Ports {
				behind[t] = append(behind[t], pool{f, p.Listen})
			}
		}
	}
	m.pools.mu.Lock()
	m.pools.behind, m.pools.keepers = behind, keepers
	m.pools.mu.Unlock()
	for f := range keepers {
		if f.Stats().Held() > 0 { // from before this front was before that target
			m.pools.hold(f)
		}
	}
}

// recheck has the plan made anew when the first pods that are in doubt are so no longer, or a workload has been missing for
// long. The plan of then rechecks the others; mu is held.
func (m *Manager) recheck(w World) {
	var next time.Duration
	for _, v := range w.Views {
		for _, left := range []time.Duration{target.Doubt - w.Now.Sub(v.WokeAt), missingGrace - w.Now.Sub(v.MissingSince)} {
			if left > 0 && (next == 0 || left < next) {
				next = left
			}
		}
	}
	if m.rechecks != nil {
		m.rechecks.Stop()
		m.rechecks = nil
	}
	if next > 0 {
		m.rechecks = time.AfterFunc(next, m.poke)
	}
}
