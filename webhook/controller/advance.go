package controller

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/ports"
)

const (
	// refusedDelay is how long a Service rests whose change of phase was refused.
	refusedDelay = time.Minute
)

// advanceAll moves each Service on by one step at most: the next one is decided on what the watch then shows.
func (p *pass) advanceAll(ctx context.Context) error {
	var errs []error
	for _, svc := range p.services {
		if svc.DeletionTimestamp == nil { // otherwise admission does not rewrite it any more
			errs = append(errs, p.advance(ctx, svc))
		}
	}
	maps.DeleteFunc(p.record.Restoring, func(uid types.UID, _ time.Time) bool { return !p.waits(uid) })
	return errors.Join(errs...)
}

// waits reports whether a Service is there that may wait for a backend.
func (p *pass) waits(uid types.UID) bool {
	return slices.ContainsFunc(p.services, func(svc *corev1.Service) bool {
		phase := phaseOf(svc)
		return svc.UID == uid && svc.DeletionTimestamp == nil &&
			(phase == contract.Restoring || phase == contract.Active && p.deserted())
	})
}

func (p *pass) advance(ctx context.Context, svc *corev1.Service) error {
	f := facts{Phase: phaseOf(svc), Wanted: p.optedIn && hasTarget(svc), Deserted: p.deserted()}
	f.Served = f.Phase == contract.Pending && f.Wanted && p.served(svc)
	next := nextPhase(f, func() bool { return p.covered(ctx, svc) })
	if next == f.Phase {
		return nil
	}
	switch {
	case next == contract.Active && f.Phase == contract.Pending:
		if err := p.settle(ctx, svc); err != nil {
			return err
		}
	case next == contract.Pending:
		// Noted before it is done, so that a restart in between does not forget to be more careful next time.
		if err := p.noteAside(ctx); err != nil {
			return err
		}
	}
	err := p.patchService(ctx, svc, map[string]string{contract.PhaseKey: string(next)})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case refused(err):
		p.said(svc, "phase", corev1.EventTypeWarning, "Refused", "ChangePhase", err.Error())
		p.again(refusedDelay)
		return nil
	case err != nil:
		return err
	}
	ctrl.LoggerFrom(ctx).Info("phase", "service", svc.Name, "was", f.Phase, "is", next)
	delete(p.record.Restoring, svc.UID)
	p.announce(svc, f.Phase, next)
	return nil
}

// announce tells the user what became of a Service.
func (p *pass) announce(svc *corev1.Service, was, is contract.Phase) {
	event := func(kind, reason, action, note string) { p.Events.Eventf(svc, nil, kind, reason, action, "%s", note) }
	switch {
	case is == contract.Active && was == contract.Pending:
		event(corev1.EventTypeNormal, "Active", "Activate", "connections pass the proxy; the target sleeps while there are none")
	case is == contract.Pending:
		event(corev1.EventTypeWarning, "SteppedAside", "StepAside",
			"no proxy is ready in this namespace: the Service has its own selector again and its target stays awake. "+p.complaint())
	case is == "" && was == contract.Restoring:
		event(corev1.EventTypeNormal, "Restored", "Restore", "the Service has its own selector and targetPorts again")
	}
}

// served reports whether the proxies are ready to take a Service over.
func (p *pass) served(svc *corev1.Service) bool {
	allocated, complete := ports.Complete(svc)
	return complete && p.available() && p.acknowledged(svc, allocated) && p.trusted()
}

// settle gives connections that were made without TPA time before the target may sleep. A Service that was created
// annotated is no exception: until it is Active its clients connect directly, too.
func (p *pass) settle(ctx context.Context, svc *corev1.Service) error {
	if p.Options.SettleTime == 0 {
		return nil
	}
	if ready, err := p.backend(ctx, svc); err != nil || !ready {
		return err
	}
	for _, t := range targetsOf(svc) {
		if err := p.Targets.Settle(ctx, p.name, t, p.now.Add(p.Options.SettleTime)); err != nil {
			return err
		}
	}
	return nil
}
