package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// Reconciler puts one namespace right at a time. All fields are required.
type Reconciler struct {
	// Client reads from watches and writes to the API server, Live reads there too.
	Client client.Client
	Live   client.Reader
	// Targets keeps targets awake.
	Targets Targets
	Events  events.EventRecorder
	Options Options
	Proxy   proxyobjects.Config
	Now     func() time.Time

	memory memory
}

// conflictDelay is how long a pass waits for the watches to catch up with what it stumbled over.
const conflictDelay = 100 * time.Millisecond

// Reconcile makes one pass over the namespace that the request names.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	w, err := r.observe(ctx, req.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	if w == nil {
		r.memory.forget(req.Name)
		return ctrl.Result{}, nil
	}
	stored := ""
	if w.deployment != nil {
		stored = w.deployment.Annotations[RecordKey]
	}
	p := &pass{
		Reconciler: r, world: w, now: r.Now().UTC().Truncate(time.Millisecond),
		record: r.memory.record(w.name, stored), observed: stored, stored: stored,
		holds: map[contract.Target]hold{}, backends: map[string]bool{},
	}
	for _, step := range []func(context.Context) error{
		p.adopt, p.ensure, p.allocate, p.watchProxies, p.advanceAll, p.tidyTargets, p.retire, p.save,
	} {
		if err := step(ctx); err != nil {
			p.errs = append(p.errs, err)
		}
	}
	return p.result(ctx)
}

// pass is one look at a namespace. A step that fails does not keep the others from what they can do.
type pass struct {
	*Reconciler
	*world
	now      time.Time
	record   record
	observed string // the record on the watched Deployment
	stored   string // the same, or what this pass wrote there
	next     time.Duration
	errs     []error
	holds    map[contract.Target]hold // what was held in this pass
	backends map[string]bool          // whether a selector was found to have a ready pod
}

// again asks for another pass after a while.
func (p *pass) again(after time.Duration) {
	after = max(after, time.Millisecond)
	if p.next == 0 || after < p.next {
		p.next = after
	}
}

// result ends the pass. A conflict means that the watches are behind and is no error.
func (p *pass) result(ctx context.Context) (ctrl.Result, error) {
	var errs []error
	for _, err := range leaves(p.errs) {
		if apierrors.IsConflict(err) {
			ctrl.LoggerFrom(ctx).V(1).Info("look again", "why", err.Error())
			p.again(conflictDelay)
			continue
		}
		errs = append(errs, err)
	}
	return ctrl.Result{RequeueAfter: p.next}, errors.Join(errs...)
}

// leaves takes joined errors apart.
func leaves(errs []error) []error {
	var result []error
	for _, err := range errs {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			result = append(result, leaves(joined.Unwrap())...)
		} else if err != nil {
			result = append(result, err)
		}
	}
	return result
}

// save puts the record where the next process finds it.
func (p *pass) save(ctx context.Context) error {
	text := p.record.String()
	if text == p.stored {
		if p.stored == p.observed {
			p.memory.dropRecord(p.name)
		}
		return nil
	}
	p.memory.setRecord(p.name, p.record)
	if p.deployment == nil {
		return nil
	}
	deployment := metadata("apps/v1", "Deployment")
	deployment.Namespace, deployment.Name = p.name, contract.ProxyName
	err := p.Client.Patch(ctx, deployment, annotationPatch("", map[string]string{RecordKey: text}), client.FieldOwner(contract.FieldManager))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("record on deployment %s/%s: %w", p.name, contract.ProxyName, err)
	}
	p.stored = text
	return nil
}

// patchService sets annotations of a Service if it is still as it was seen.
func (p *pass) patchService(ctx context.Context, svc *corev1.Service, annotations map[string]string) error {
	patched := svc.DeepCopy()
	err := p.Client.Patch(ctx, patched, annotationPatch(svc.ResourceVersion, annotations), client.FieldOwner(contract.FieldManager))
	if err != nil {
		return fmt.Errorf("patch service %s/%s: %w", svc.Namespace, svc.Name, err)
	}
	return nil
}

// said reports an Event about an object once; nothing to say makes it new again.
func (p *pass) said(about runtime.Object, topic, kind, reason, action, note string) {
	name := p.name + "/"
	if o, ok := about.(metav1.Object); ok {
		name += string(o.GetUID())
	}
	text := note
	if note != "" {
		text = reason + note
	}
	if p.memory.news(name+"/"+topic, text) {
		p.Events.Eventf(about, nil, kind, reason, action, "%s", note)
	}
}
