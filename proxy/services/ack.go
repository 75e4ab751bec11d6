package services

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
)

// leaseWriter writes Leases; kube.Client's do.
type leaseWriter interface {
	Create(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error)
	MergePatch(ctx context.Context, namespace, name string, patch []byte) (*coordinationv1.Lease, error)
}

// acknowledger keeps this pod's Lease: what it listens on. The Lease belongs to the pod and goes with it. It is written
// when its contents change, and never renewed: whether the pod lives is not for it to say.
type acknowledger struct {
	leases  leaseWriter
	log     *zap.Logger
	options Options
	kick    chan struct{}

	mu     sync.Mutex
	wanted string
	done   *string // what was written last; nil if nothing was yet
	doubt  bool    // a write after that failed, and may have been carried out nevertheless
}

func newAcknowledger(leases leaseWriter, log *zap.Logger, options Options) *acknowledger {
	return &acknowledger{leases: leases, log: log, options: options, kick: make(chan struct{}, 1)}
}

// set changes what is to be acknowledged.
func (a *acknowledger) set(l contract.Listening) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if wanted := l.String(); wanted != a.wanted {
		a.wanted = wanted
		a.poke()
	}
}

func (a *acknowledger) poke() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// written returns nil once this process has acknowledged for the first time.
func (a *acknowledger) written() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done == nil {
		return errors.New("the pod's lease is not written yet")
	}
	return nil
}

// run writes until ctx ends.
func (a *acknowledger) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.kick:
		}
		a.mu.Lock()
		wanted := a.wanted
		same := a.done != nil && *a.done == wanted && !a.doubt
		a.doubt = a.doubt || !same
		a.mu.Unlock()
		if same {
			continue
		}
		if err := a.write(ctx, wanted); err != nil {
			if ctx.Err() == nil {
				a.log.Warn("acknowledge", zap.Error(err))
			}
			time.AfterFunc(retryAfter, a.poke)
			continue
		}
		a.mu.Lock()
		a.done, a.doubt = &wanted, false
		a.mu.Unlock()
	}
}

// write makes the Lease say what is wanted.
func (a *acknowledger) write(ctx context.Context, wanted string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: a.options.Namespace, Name: contract.PodLease(a.options.Pod),
		Labels:      map[string]string{contract.LeaseLabel: contract.LeaseProxy},
		Annotations: map[string]string{contract.ListeningKey: wanted},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "Pod", Name: a.options.Pod, UID: a.options.PodUID,
		}},
	}}
	// Only this pod writes this Lease, so the last write is the right one. A patch, because the API server takes no
	// update of a Lease that does not say what it replaces.
	if a.written() != nil { // and what the process before this one said of its connections goes
		lease.Annotations[contract.UsageKey] = contract.Usage{At: time.Now().UTC().Truncate(time.Second)}.String()
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"labels": lease.Labels, "annotations": lease.Annotations, "ownerReferences": lease.OwnerReferences,
	}})
	if err != nil {
		return fmt.Errorf("lease %s/%s: %w", lease.Namespace, lease.Name, err)
	}
	_, err = a.leases.MergePatch(ctx, lease.Namespace, lease.Name, body)
	if apierrors.IsNotFound(err) {
		_, err = a.leases.Create(ctx, lease)
	}
	if err != nil {
		return fmt.Errorf("write lease %s/%s: %w", lease.Namespace, lease.Name, err)
	}
	return nil
}
