package services

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
)

// lateFor is how long it is said that a wake came to nothing, if it does not happen again.
const lateFor = time.Minute

// lateness notes which Services had a connection end because no backend appeared in time. The zero value is ready to use.
type lateness struct {
	mu sync.Mutex
	// waited is how long the longest of them was held since the last take.
	waited map[types.UID]time.Duration
}

// note notes one, and reports whether it is the Service's first since the last take.
func (l *lateness) note(uid types.UID, waited time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waited == nil {
		l.waited = map[types.UID]time.Duration{}
	}
	_, known := l.waited[uid]
	l.waited[uid] = max(l.waited[uid], waited)
	return !known
}

// take returns what was noted, and forgets it.
func (l *lateness) take() map[types.UID]time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	waited := l.waited
	l.waited = nil
	return waited
}

// late says why no pod of a Service was ready in time, if a connection was held for all of that. One that may not wake the
// target is held for less.
func (x *index) late(r *reading, waited time.Duration) string {
	if waited == 0 || r.bad != nil || waited < r.settings.WakeTimeout {
		return ""
	}
	return fmt.Sprintf("no pod of %s was ready within %s: %s", names(r.settings.Targets), r.settings.WakeTimeout, WhyNotReady(x.present(r.selector)))
}

func names(targets []contract.Target) string {
	all := make([]string, len(targets))
	for i, t := range targets {
		all[i] = t.String()
	}
	return strings.Join(all, ", ")
}

// WhyNotReady says what pods wait for. It names no pod and counts nothing: all proxies should say the same, and again and
// again the same.
func WhyNotReady(pods []*corev1.Pod) string {
	reasons := map[string]bool{}
	for _, pod := range pods {
		if isReady(pod) {
			return "one is ready now"
		}
		found := false
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				reasons[c.Reason], found = true, true
			}
		}
		for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
			for _, s := range statuses {
				if reason := stuck(s.State); reason != "" {
					reasons[fmt.Sprintf("container %s: %s", s.Name, reason)], found = true, true
				}
			}
		}
		if !found {
			reasons["not ready yet"] = true
		}
	}
	if len(reasons) == 0 {
		return "none was created"
	}
	return strings.Join(slices.Sorted(maps.Keys(reasons)), ", ")
}

// stuck is why a container does not run; empty if it does, or is about to.
func stuck(state corev1.ContainerState) string {
	switch {
	case state.Waiting != nil && state.Waiting.Reason == "ErrImagePull":
		return "ImagePullBackOff" // the kubelet says the one and the other in turns
	case state.Waiting != nil && state.Waiting.Reason != "ContainerCreating" && state.Waiting.Reason != "PodInitializing":
		return state.Waiting.Reason
	case state.Terminated != nil && state.Terminated.ExitCode != 0:
		return state.Terminated.Reason
	}
	return ""
}
