package services

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
)

// index is a World in which what a plan looks for, again and again, is found without looking at everything: a wake waits
// for the plan, and a namespace may have a thousand Services. Only update changes it.
type index struct {
	World
	// managed are the Services with a phase, the oldest first.
	managed []*corev1.Service
	byUID   map[types.UID]*corev1.Service
	// sole are those of them that have only the one target.
	sole map[contract.Target][]*corev1.Service
	// users are, by target, those that it sleeps and wakes for, the oldest first.
	users map[contract.Target][]*corev1.Service
	// named are, by target, the managed Services that name it, whatever becomes of that.
	named map[contract.Target][]*corev1.Service
	// selecting finds the managed Services, and ofTargets the targets, whose pods a pod is one of.
	selecting matcher[*corev1.Service]
	ofTargets matcher[contract.Target]
	// pods are all pods that have a label.
	pods map[label][]*corev1.Pod
	// unmanaged are the Services that keep a target awake whose pods they select.
	unmanaged []unmanaged
	// rivals are those by the pod that they select; of several the first by name.
	rivals map[*corev1.Pod]*corev1.Service
}

type unmanaged struct {
	service  *corev1.Service
	selector labels.Selector
}

type label struct{ key, value string }

func (w World) index() *index {
	if w.Readings == nil {
		w.Readings = &readings{}
	}
	x := &index{
		World: w, managed: w.managed(), byUID: make(map[types.UID]*corev1.Service, len(w.Services)),
		sole:  make(map[contract.Target][]*corev1.Service, len(w.Services)),
		users: make(map[contract.Target][]*corev1.Service, len(w.Services)),
		named: make(map[contract.Target][]*corev1.Service, len(w.Services)),
		pods:  make(map[label][]*corev1.Pod, len(w.Pods)), rivals: map[*corev1.Pod]*corev1.Service{},
	}
	for _, pod := range w.Pods {
		x.add(pod)
	}
	w.Readings.renew(w)
	for _, svc := range x.managed {
		x.byUID[svc.UID] = svc
		r := x.read(svc)
		if r.bad == nil && len(r.settings.Targets) == 1 && r.selector != nil {
			t := r.settings.Targets[0]
			x.sole[t] = append(x.sole[t], svc)
		}
		for _, t := range r.settings.Targets {
			x.named[t] = append(x.named[t], svc)
		}
		phase := contract.Phase(svc.Annotations[contract.PhaseKey])
		if r.broken == "" && (phase == contract.Active || phase == contract.Pending) {
			for _, t := range r.settings.Targets {
				x.users[t] = append(x.users[t], svc)
			}
		}
	}
	x.selecting = newMatcher(x.selectors)
	x.ofTargets = newMatcher(maps.All(x.PodSelectors))
	for _, svc := range w.Services {
		if len(svc.Spec.Selector) == 0 || svc.Annotations[contract.PhaseKey] != "" || svc.Annotations[contract.BypassKey] == "true" {
			continue
		}
		u := unmanaged{svc, labels.SelectorFromSet(svc.Spec.Selector)}
		x.unmanaged = append(x.unmanaged, u)
		for _, pod := range x.ready(u.selector) {
			x.addRival(pod, svc)
		}
	}
	return x
}

// selectors yields those of the managed Services.
func (x *index) selectors(yield func(*corev1.Service, labels.Selector) bool) {
	for _, svc := range x.managed {
		if !yield(svc, x.read(svc).selector) {
			return
		}
	}
}

func (x *index) add(pod *corev1.Pod) {
	for key, value := range pod.Labels {
		l := label{key, value}
		x.pods[l] = append(x.pods[l], pod)
	}
}

func (x *index) addRival(pod *corev1.Pod, svc *corev1.Service) {
	if other := x.rivals[pod]; other == nil || svc.Name < other.Name {
		x.rivals[pod] = svc
	}
}

// managed returns the Services with a phase, the oldest first.
func (w World) managed() []*corev1.Service {
	var managed []*corev1.Service
	for _, svc := range w.Services {
		if isManaged(svc) {
			managed = append(managed, svc)
		}
	}
	slices.SortFunc(managed, func(a, b *corev1.Service) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
	})
	return managed
}

func isManaged(svc *corev1.Service) bool {
	return svc.Labels[contract.ManagedLabel] == contract.ManagedTrue && svc.Annotations[contract.PhaseKey] != ""
}

func (x *index) read(svc *corev1.Service) *reading { return x.Readings.read(svc, x.Now) }

// ready returns the pods that a Service with the selector would send connections to.
func (x *index) ready(selector labels.Selector) []*corev1.Pod { return x.selected(selector, isReady) }

// present returns the pods that the selector matches, ready or not, without those on their way out.
func (x *index) present(selector labels.Selector) []*corev1.Pod {
	return x.selected(selector, func(pod *corev1.Pod) bool { return pod.DeletionTimestamp == nil })
}

// selected returns those of the pods that a selector matches that are wanted.
func (x *index) selected(selector labels.Selector, wanted func(*corev1.Pod) bool) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range x.candidates(selector) {
		if wanted(pod) && selector.Matches(labels.Set(pod.Labels)) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// candidates returns pods among which are all that a selector matches: those with the rarest of the labels that it asks
// for, or all if it asks for none in particular.
func (x *index) candidates(selector labels.Selector) []*corev1.Pod {
	fewest := x.Pods
	for l := range required(selector) {
		if pods := x.pods[l]; len(pods) < len(fewest) {
			fewest = pods
		}
	}
	return fewest
}
