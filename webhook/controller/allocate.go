package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/ports"
)

// allocate gives each Service port a port of the proxy. Whether there is anything to do is decided on the watched
// Services, what to do on a live list.
func (p *pass) allocate(ctx context.Context) error {
	if changed, full := ports.Allocate(allocations(p.services, p.optedIn), nil, rand.IntN); len(changed) == 0 && len(full) == 0 {
		return nil
	}
	var list corev1.ServiceList
	if err := p.Live.List(ctx, &list, client.InNamespace(p.name), managed); err != nil {
		return fmt.Errorf("list services of %s: %w", p.name, err)
	}
	live := managedServices(list.Items)
	changed, full := ports.Allocate(allocations(live, p.optedIn), p.busy(), rand.IntN)
	byUID := map[types.UID]*corev1.Service{}
	for _, svc := range live {
		byUID[svc.UID] = svc
	}
	for _, uid := range full {
		p.said(byUID[uid], "full", corev1.EventTypeWarning, "NoPortLeft", "Allocate",
			fmt.Sprintf("every port from %d to %d is taken: move Services to another namespace", contract.PortMin, contract.PortMax))
	}
	var errs []error
	for _, svc := range live {
		allocation, ok := changed[svc.UID]
		if !ok {
			continue
		}
		err := p.patchService(ctx, svc, map[string]string{contract.PortsKey: allocation.String()})
		if refused(err) {
			p.said(svc, "allocate", corev1.EventTypeWarning, "Refused", "Allocate", err.Error())
		}
		if !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// allocations describes Services for allocation. A Service that is about to be the user's own again gets no more.
func allocations(services []*corev1.Service, optedIn bool) []ports.Service {
	result := make([]ports.Service, len(services))
	for i, svc := range services {
		result[i] = ports.Of(svc)
		if phaseOf(svc) == contract.Pending && (!optedIn || !hasTarget(svc)) {
			result[i].Frozen = true
		}
	}
	return result
}

// busy returns the ports on which some proxy listens for a Service that does not own them any more.
func (p *pass) busy() map[int32]bool {
	busy := map[int32]bool{}
	for _, l := range p.listening {
		for _, slots := range l {
			for _, slot := range slots {
				busy[slot] = true
			}
		}
	}
	return busy
}
