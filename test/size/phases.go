package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"tpa.dev/tpa/proxy/contract"
)

// phases follows the managed Services as they are watched.
type phases struct {
	mu      sync.Mutex
	of      map[types.UID]contract.Phase
	active  int
	changed chan struct{}
}

var _ cache.ResourceEventHandler = (*phases)(nil)

func newPhases() *phases {
	return &phases{of: map[types.UID]contract.Phase{}, changed: make(chan struct{}, 1)}
}

func (p *phases) OnAdd(o any, _ bool) { p.note(o, false) }
func (p *phases) OnUpdate(_, o any)   { p.note(o, false) }
func (p *phases) OnDelete(o any)      { p.note(o, true) }

func (p *phases) note(o any, gone bool) {
	if tombstone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = tombstone.Obj
	}
	svc, ok := o.(*corev1.Service)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[svc.UID] == contract.Active {
		p.active--
	}
	if gone {
		delete(p.of, svc.UID)
	} else if p.of[svc.UID] = contract.Phase(svc.Annotations[contract.PhaseKey]); p.of[svc.UID] == contract.Active {
		p.active++
	}
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// wait waits until it is so of the number of managed Services and of those that are Active. It gives up once nothing
// has changed for a while.
func (p *phases) wait(ctx context.Context, what string, so func(managed, active int) bool) error {
	const patience = 2 * time.Minute
	for {
		p.mu.Lock()
		managed, active := len(p.of), p.active
		p.mu.Unlock()
		if so(managed, active) {
			return nil
		}
		select {
		case <-p.changed:
		case <-time.After(patience):
			return fmt.Errorf("wait for %s: %d Services are managed, %d Active, and nothing changes any more", what, managed, active)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
