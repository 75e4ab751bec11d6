package services

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// look adds to the world what this process remembers, and returns what has changed since the last look; mu is held.
func (m *Manager) look(w *World, now time.Time) news {
	w.PodSelectors = m.podSelectors
	w.Late = m.lateness.take()
	w.Readings = &m.readings
	w.Dozes = m.pools.seen() // before the views: what is missed is noticed
	n := m.seen.look(w, now, m.targets)
	n.all = n.all || m.anew || m.closing || len(m.lingering) > 0 || w.Defaults != m.readings.defaults
	m.anew = false
	if n.all {
		w.Lingering = m.linger(*w, now)
	}
	for uid := range m.unfinished {
		n.services[uid] = true
	}
	for t, denied := range m.denied {
		if denied {
			n.targets[t] = true // the keeper is to ask again
		}
	}
	m.noteReady(w, n, now)
	return n
}

// noteReady notes since when the pods are ready that have changed.
func (m *Manager) noteReady(w *World, n news, now time.Time) {
	if m.readySince == nil {
		m.readySince = map[types.UID]time.Time{}
	}
	w.ReadySince = m.readySince
	for _, pod := range n.before {
		if _, there := m.seen.pods[pod.UID]; !there {
			delete(m.readySince, pod.UID)
		}
	}
	for _, pod := range n.after {
		if !isReady(pod) {
			delete(m.readySince, pod.UID)
			continue
		}
		if _, known := m.readySince[pod.UID]; known {
			continue
		}
		m.readySince[pod.UID] = now
		if heard, told := m.heard.Load(pod.UID); told {
			m.readySince[pod.UID] = heard.(time.Time)
		}
	}
	m.heard.Range(func(uid, _ any) bool {
		if _, known := m.readySince[uid.(types.UID)]; known {
			m.heard.Delete(uid)
		}
		return true
	})
}
