package services

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestReadySinceIsWhenTheWatchTold: a plan that has to wait must not make a pod look as if it had become ready later.
func TestReadySinceIsWhenTheWatchTold(t *testing.T) {
	m := lingerer()
	starting, ready := makePod("web-1", "web", "10.0.0.1").readiness(corev1.ConditionFalse).obj(), makePod("web-1", "web", "10.0.0.1").obj()
	other := makePod("web-2", "web", "10.0.0.2").obj()
	before := time.Now()
	m.hear(nil, starting)
	m.hear(starting, ready)
	told := time.Now()
	m.hear(ready, ready) // of something else about it
	later := told.Add(time.Minute)
	w := World{Pods: []*corev1.Pod{ready, other}}
	m.look(&w, later)
	if since := w.ReadySince[ready.UID]; since.Before(before) || since.After(told) {
		t.Errorf("ready since %s, want between %s and %s", since, before, told)
	}
	if since := w.ReadySince[other.UID]; !since.Equal(later) {
		t.Errorf("ready since %s, want %s, as nobody has told yet", since, later)
	}
	m.hear(nil, other) // late: it keeps the time that was noted
	again := World{Pods: []*corev1.Pod{ready, other}}
	m.look(&again, later.Add(time.Minute))
	for _, uid := range []types.UID{ready.UID, other.UID} {
		if since := again.ReadySince[uid]; !since.Equal(w.ReadySince[uid]) {
			t.Errorf("%s: ready since %s, want still %s", uid, since, w.ReadySince[uid])
		}
	}
	m.heard.Range(func(uid, _ any) bool {
		t.Errorf("%s is still noted", uid)
		return true
	})
}

func TestPodThatIsGoneLeavesNothing(t *testing.T) {
	m := lingerer()
	pod := makePod("web-1", "web", "10.0.0.1").obj()
	m.hear(nil, pod)
	m.gone(pod)
	if _, noted := m.heard.Load(pod.UID); noted {
		t.Error("still noted")
	}
}
