package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
)

// hold is what came of holding a target in this pass.
type hold struct {
	state HoldState
	err   error
}

// covered reports whether a Service may have its own selector back: its targets are held and it selects a ready pod. If
// there is nothing to wake, or after the restore time-out, there is nothing to wait for.
func (p *pass) covered(ctx context.Context, svc *corev1.Service) bool {
	why := ""
	waking := false
	for _, t := range p.targetsBehind(svc) {
		h := p.hold(ctx, t)
		waking = waking || h.err == nil && h.state.Found && !h.state.Asleep
		if h.err != nil {
			why = h.err.Error()
		}
	}
	if why == "" && waking {
		ready, err := p.backend(ctx, svc)
		switch {
		case err != nil:
			why = err.Error()
		case !ready:
			why = "no pod that it selects is ready"
		}
	}
	if why == "" {
		return true
	}
	waited := p.now.Sub(p.record.since(svc.UID, p.now))
	if waited >= p.Options.RestoreTimeout {
		p.Events.Eventf(svc, nil, corev1.EventTypeWarning, "RestoredAsleep", "Restore",
			"the Service gets its own selector back after %s without a ready backend: %s", p.Options.RestoreTimeout, why)
		return true
	}
	ctrl.LoggerFrom(ctx).V(1).Info("waits for a backend", "service", svc.Name, "for", waited, "why", why)
	p.again(min(pollAfter(waited), p.Options.RestoreTimeout-waited))
	return false
}

// pollAfter is how long to wait between two looks at pods, which are not watched: often at first, because a client may
// be waiting too, and ever more rarely.
func pollAfter(waited time.Duration) time.Duration {
	return min(max(waited/4, 500*time.Millisecond), 5*time.Second)
}

// hold holds a target, once a pass.
func (p *pass) hold(ctx context.Context, t contract.Target) hold {
	h, ok := p.holds[t]
	if !ok {
		h.state, h.err = p.Targets.Hold(ctx, p.name, t)
		p.holds[t] = h
	}
	return h
}

// targetsBehind returns the targets that a Service's own selector may lead to. A Service that was opted out by taking its
// target off does not name them any more. Then they are those targets of the namespace that are not plainly somebody
// else's: a target is, if a Service that names it selects other pods.
func (p *pass) targetsBehind(svc *corev1.Service) []contract.Target {
	if hasTarget(svc) {
		return targetsOf(svc)
	}
	own := originalSelector(svc)
	others := map[contract.Target]bool{}
	for _, other := range p.services {
		if other.UID == svc.UID || !disjoint(own, originalSelector(other)) {
			continue
		}
		for _, t := range targetsOf(other) {
			others[t] = true
		}
	}
	var targets []contract.Target
	for _, tl := range p.targets {
		if !others[tl.target] {
			targets = append(targets, tl.target)
		}
	}
	return targets
}

// disjoint reports whether no pod can match both selectors.
func disjoint(a, b map[string]string) bool {
	for key, value := range a {
		if other, ok := b[key]; ok && other != value {
			return true
		}
	}
	return false
}

// originalSelector is the user's own selector; nil if it is not known.
func originalSelector(svc *corev1.Service) map[string]string {
	original, err := contract.ParseOriginal(svc.Annotations[contract.OriginalKey])
	if err != nil {
		return nil
	}
	return original.Selector
}

// backend reports whether the user's own selector leads to a ready pod. Pods are listed live: those of users are not
// watched.
func (p *pass) backend(ctx context.Context, svc *corev1.Service) (bool, error) {
	selector := originalSelector(svc)
	if selector == nil {
		return false, nil
	}
	matching := labels.SelectorFromSet(selector)
	if ready, ok := p.backends[matching.String()]; ok {
		return ready, nil
	}
	var list corev1.PodList
	for {
		err := p.Live.List(ctx, &list, client.InNamespace(p.name), client.MatchingLabelsSelector{Selector: matching},
			client.Limit(100), client.Continue(list.Continue))
		if err != nil {
			return false, fmt.Errorf("list pods behind service %s/%s: %w", p.name, svc.Name, err)
		}
		for i := range list.Items {
			if isReady(&list.Items[i]) {
				p.backends[matching.String()] = true
				return true, nil
			}
		}
		if list.Continue == "" {
			p.backends[matching.String()] = false
			return false, nil
		}
	}
}
