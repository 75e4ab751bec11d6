package services

import (
	"time"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/target"
)

// When a target leaves Awake, the pods that were ready until then are about to go. They must be out of the pools before
// the gate can open again, which may be a moment later and before the watches have heard of anything. So the keeper
// itself has them emptied, without waiting for a plan; and a plan that was made before that takes its backends back.

// pool is where the connections of a Service port find their backends.
type pool struct {
	front  *front.Service
	listen uint16
}

// doze empties the pools behind a target. It takes no lock of the Manager's.
func (m *Manager) doze(t contract.Target) {
	if pools := m.pools.Load(); pools != nil {
		for _, p := range (*pools)[t] {
			p.front.SetBackends(p.listen, nil)
		}
	}
}

// setPools notes which pools are behind each target; mu is held.
func (m *Manager) setPools(plan Plan) {
	pools := map[contract.Target][]pool{}
	for uid, sp := range plan.Services {
		for _, t := range sp.Gate {
			for _, p := range sp.Ports {
				pools[t] = append(pools[t], pool{m.fronts[uid], p.Listen})
			}
		}
	}
	m.pools.Store(&pools)
}

// recheck takes back what was planned for targets that have left Awake since the world was looked at, and has the plan
// made anew when pods that are in doubt are so no longer; mu is held.
func (m *Manager) recheck(w World) {
	for t, k := range m.targets {
		if k.View().Dozes != w.Views[t].Dozes {
			m.doze(t)
			m.poke()
		}
	}
	for _, v := range w.Views {
		if left := target.Doubt - w.Now.Sub(v.WokeAt); left > 0 {
			time.AfterFunc(left, m.poke)
		}
	}
}
