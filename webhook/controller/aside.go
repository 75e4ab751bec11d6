package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

const (
	// asideBackoffMax bounds Options.StepAsideBackoff as it doubles.
	asideBackoffMax = 30 * time.Minute
	// asideForgiven is how long after it last stepped aside TPA starts to count anew.
	asideForgiven = 2 * time.Hour
	// creatingFor is how long the first proxies of a namespace may take before their Services' users are told why.
	creatingFor = time.Minute
)

// watchProxies keeps track of since when there is no proxy. It is only written down where a Service relies on one, so
// that the start of a namespace's first proxies is not.
func (p *pass) watchProxies(context.Context) error {
	relied := false
	for _, svc := range p.services {
		relied = relied || phaseOf(svc) == contract.Active && svc.DeletionTimestamp == nil
	}
	switch {
	case len(p.readyProxies()) > 0:
		p.record.Deserted = time.Time{}
	case !relied && p.record.Deserted.IsZero():
	case p.Options.StepAsideAfter == 0:
	case p.record.Deserted.IsZero():
		p.record.Deserted = p.now
		p.again(p.Options.StepAsideAfter)
	case !p.deserted():
		p.again(p.Options.StepAsideAfter - p.now.Sub(p.record.Deserted))
	}
	if p.record.Asides > 0 && p.now.Sub(p.record.AsideAt) > asideForgiven && p.record.Deserted.IsZero() {
		p.record.Asides, p.record.AsideAt = 0, time.Time{}
	}
	p.tellWhy()
	return nil
}

// deserted reports whether the namespace has been without a ready proxy for too long.
func (p *pass) deserted() bool {
	return p.Options.StepAsideAfter > 0 && !p.record.Deserted.IsZero() &&
		p.now.Sub(p.record.Deserted) >= p.Options.StepAsideAfter
}

// noteAside counts that TPA steps aside, once for each time that the proxies were gone.
func (p *pass) noteAside(ctx context.Context) error {
	if p.record.Asides == 0 || p.record.AsideAt.Before(p.record.Deserted) {
		p.record.Asides++
		p.record.AsideAt = p.now
	}
	return p.save(ctx)
}

// trusted reports whether the proxies have been ready for long enough since TPA last stepped aside.
func (p *pass) trusted() bool {
	if p.record.Asides == 0 {
		return true
	}
	var since time.Time
	for _, pod := range p.readyProxies() {
		if at := readyAt(pod); since.IsZero() || at.Before(since) {
			since = at
		}
	}
	wait := backoff(p.Options.StepAsideBackoff, p.record.Asides) - p.now.Sub(since)
	if since.IsZero() || wait > 0 {
		if !since.IsZero() {
			p.again(wait)
		}
		return false
	}
	return true
}

// backoff is for how long proxies must be ready after TPA stepped aside n times in a row, if it is first after one.
func backoff(first time.Duration, n int) time.Duration {
	wait := first
	for ; n > 1 && wait < asideBackoffMax; n-- {
		wait *= 2
	}
	return min(wait, asideBackoffMax)
}

// tellWhy tells the users of Services that wait for a proxy what keeps it.
func (p *pass) tellWhy() {
	waited := time.Duration(0)
	if p.deployment != nil {
		waited = p.now.Sub(p.deployment.CreationTimestamp.Time)
	}
	missing := p.deployment != nil && !p.available()
	for _, svc := range p.services {
		if phaseOf(svc) != contract.Pending || svc.DeletionTimestamp != nil || p.record.Asides > 0 {
			continue
		}
		switch {
		case !missing:
			p.said(svc, "waits", "", "", "", "")
		case waited < creatingFor:
			p.again(creatingFor - waited)
		default:
			p.said(svc, "waits", corev1.EventTypeWarning, "ProxyNotReady", "Activate",
				"the proxies of this namespace are not ready yet; the Service works as it did without TPA. "+p.complaint())
		}
	}
}

// complaint says what keeps the proxy's pods from being ready, in Kubernetes' own words.
func (p *pass) complaint() string {
	if len(p.proxies) == 0 {
		if p.deployment == nil {
			return "There is no Deployment " + contract.ProxyName + "."
		}
		for _, c := range p.deployment.Status.Conditions {
			if c.Status == corev1.ConditionTrue && c.Type == "ReplicaFailure" {
				return fmt.Sprintf("Deployment %s: %s: %s", contract.ProxyName, c.Reason, c.Message)
			}
		}
		return "Deployment " + contract.ProxyName + " has no pods."
	}
	for i := range p.proxies {
		pod := &p.proxies[i]
		for _, s := range pod.Status.ContainerStatuses {
			if w := s.State.Waiting; w != nil {
				return fmt.Sprintf("Pod %s: %s: %s", pod.Name, w.Reason, w.Message)
			}
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				return fmt.Sprintf("Pod %s: %s: %s", pod.Name, c.Reason, c.Message)
			}
		}
	}
	return "See the logs of the pods of Deployment " + contract.ProxyName + "."
}
