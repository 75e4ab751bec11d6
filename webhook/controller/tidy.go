package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// tidyTargets lets go of targets that were held and need not be any more, and forgets those that no Service names, which
// puts back the replicas of what TPA had put to sleep. Both are told from the Leases, so that nothing that an earlier
// process held stays held.
func (p *pass) tidyTargets(ctx context.Context) error {
	named := map[contract.Target]bool{}
	for _, svc := range p.services {
		for _, t := range targetsOf(svc) {
			named[t] = true
		}
		if phaseOf(svc) == contract.Restoring && !hasTarget(svc) {
			for _, t := range p.targetsBehind(svc) {
				named[t] = true
			}
		}
	}
	var errs []error
	for _, tl := range p.targets {
		if _, held := p.holds[tl.target]; held {
			continue // in this very pass
		}
		switch {
		case !named[tl.target]:
			errs = append(errs, p.Targets.Forget(ctx, p.name, tl.target))
		case p.Targets.Held(tl.lease):
			errs = append(errs, p.Targets.Release(ctx, p.name, tl.target))
		}
	}
	return errors.Join(errs...)
}

// retire takes the proxy out of a namespace that has had no managed Service for a while. Until then endpoints on some
// node may still lead to it.
func (p *pass) retire(ctx context.Context) error {
	if len(p.services) > 0 {
		p.record.Unused = time.Time{}
		return nil
	}
	if len(p.present) == 0 {
		return nil
	}
	if p.deployment != nil {
		if p.record.Unused.IsZero() {
			p.record.Unused = p.now
		}
		unused := p.now.Sub(p.record.Unused)
		if wait := p.Options.Linger - unused; wait > 0 {
			p.again(wait)
			return nil
		}
		// Whoever removes TPA waits for the Deployments to go: it stays until every target is restored.
		if len(p.targets) > 0 && unused < p.Options.Linger+p.Options.RestoreTimeout {
			p.again(pollAfter(unused))
			return nil
		}
	}
	var list metav1.PartialObjectMetadataList
	list.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceList"}
	if err := p.Live.List(ctx, &list, client.InNamespace(p.name), managed, client.Limit(1)); err != nil {
		return fmt.Errorf("list services of %s: %w", p.name, err)
	}
	if len(list.Items) > 0 {
		return nil // the watch is about to tell
	}
	for _, object := range proxyobjects.Present(p.name) {
		if _, ok := p.present[object.Kind]; !ok {
			continue
		}
		if err := p.remove(ctx, object.Kind); err != nil {
			return err
		}
		if object.Kind == "Deployment" {
			p.deployment = nil // and the record with it
			p.record, p.observed, p.stored = record{}, "", ""
		}
	}
	return nil
}
