package services

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/target"
)

// manyPods is how many changed pods are too many to look at one by one.
const manyPods = 32

// news is what has changed since the last look.
type news struct {
	// all says that the plan is to be made from nothing: Services have changed, or too much has.
	all bool
	// before and after are the earlier and the later versions of pods; a new pod has only that, and one that is gone only this.
	before, after []*corev1.Pod
	// targets have another View, have left Awake, or may have to be kept otherwise because time has passed.
	targets map[contract.Target]bool
	// services are those to be planned for in any case.
	services map[types.UID]bool
}

// objects are those of one kind as they were last seen. A watched object is never changed, so its address stands for its
// version.
type objects[O interface {
	comparable
	metav1.Object
}] map[types.UID]O

// look takes in what there is now, and returns the earlier and the later versions of what has changed.
func (o objects[O]) look(now []O) (before, after []O) {
	for _, is := range now {
		was, ok := o[is.GetUID()]
		if was == is {
			continue
		}
		if ok {
			before = append(before, was)
		}
		after = append(after, is)
		o[is.GetUID()] = is
	}
	if len(o) == len(now) {
		return before, after
	}
	there := make(map[types.UID]bool, len(now))
	for _, is := range now {
		there[is.GetUID()] = true
	}
	for uid, was := range o {
		if !there[uid] {
			before = append(before, was)
			delete(o, uid)
		}
	}
	return before, after
}

// seen is what was seen at the last look. The zero value has seen nothing.
type seen struct {
	services objects[*corev1.Service]
	pods     objects[*corev1.Pod]
	views    map[contract.Target]target.View
	dozes    map[contract.Target]int
	at       time.Time
}

// look tells what has changed in a World, to which it adds the time and the Views.
func (s *seen) look(w *World, now time.Time, keepers map[contract.Target]*target.Keeper) news {
	if s.services == nil {
		s.services, s.pods, s.views = objects[*corev1.Service]{}, objects[*corev1.Pod]{}, map[contract.Target]target.View{}
	}
	n := news{targets: map[contract.Target]bool{}, services: map[types.UID]bool{}}
	earlier, later := s.services.look(w.Services)
	n.before, n.after = s.pods.look(w.Pods)
	n.all = len(earlier)+len(later) > 0 || len(n.before)+len(n.after) > manyPods
	for uid := range w.Late {
		n.services[uid] = true
	}
	for t, times := range w.Dozes {
		if times != s.dozes[t] {
			n.targets[t] = true
		}
	}
	s.dozes = w.Dozes
	for t, k := range keepers {
		view := k.View()
		was, ok := s.views[t]
		if !ok || view != was {
			s.views[t] = view
			n.targets[t] = true
		}
		if unsettled(view, s.at) {
			n.targets[t] = true
		}
	}
	if len(s.views) != len(keepers) {
		for t := range s.views {
			if keepers[t] == nil {
				delete(s.views, t)
				n.all = true
			}
		}
	}
	w.Now, w.Views, s.at = now, s.views, now
	return n
}

// unsettled reports whether a plan changes as time goes on after the last one.
func unsettled(v target.View, last time.Time) bool {
	return !v.MissingSince.IsZero() || !v.WokeAt.IsZero() && last.Sub(v.WokeAt) < target.Doubt
}
