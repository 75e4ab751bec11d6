package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/ports"
)

// secondScan is how long after a namespace's label has changed its Services are searched again: an API server that has
// not heard of the label yet lets an annotated Service through without asking the webhook.
const secondScan = 5 * time.Second

// scan is the search of a namespace for Services that were annotated before the namespace was opted in.
type scan struct {
	// due is when to search; the zero time means never.
	due time.Time
	// twice asks for another search after secondScan.
	twice bool
}

// rescan asks for a search because the namespace's label has changed.
func (m *memory) rescan(namespace string, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setScan(namespace, scan{due: now, twice: true})
}

func (m *memory) setScan(namespace string, s scan) {
	if m.scans == nil {
		m.scans = map[string]scan{}
	}
	m.scans[namespace] = s
}

// scanOf returns the search of a namespace; one that is seen for the first time is due.
func (m *memory) scanOf(namespace string, now time.Time) scan {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.scans[namespace]; ok {
		return s
	}
	return scan{due: now}
}

// scanned notes that a search was made, unless another was asked for meanwhile.
func (m *memory) scanned(namespace string, done scan, now time.Time) (next time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.scans[namespace]; ok && s != done {
		return s.due
	}
	if done.twice {
		next = now.Add(secondScan)
	}
	m.setScan(namespace, scan{due: next})
	return next
}

func (m *memory) dropScan(namespace string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.scans, namespace)
}

// adopt takes over the Services that were annotated before their namespace was opted in. They are not watched, so that
// they cost nothing; they are listed when the namespace is opted in and when the controller starts.
func (p *pass) adopt(ctx context.Context) error {
	if !p.optedIn {
		p.memory.dropScan(p.name)
		return nil
	}
	s := p.memory.scanOf(p.name, p.now)
	if s.due.IsZero() {
		return nil
	}
	if wait := s.due.Sub(p.now); wait > 0 {
		p.again(wait)
		return nil
	}
	missed := map[types.UID]bool{}
	list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceList"}}
	err := p.listServices(ctx, list, func() {
		for i := range list.Items {
			if forgotten(&list.Items[i]) {
				missed[list.Items[i].UID] = true
			}
		}
	})
	if err != nil {
		return err
	}
	if len(missed) > 0 {
		if err := p.takeOver(ctx, missed); err != nil {
			return err
		}
	}
	if next := p.memory.scanned(p.name, s, p.now); !next.IsZero() {
		p.again(next.Sub(p.now))
	}
	return nil
}

// listServices reads all Services of the namespace live, as the kind of list that is given, and calls each for each page.
func (p *pass) listServices(ctx context.Context, list client.ObjectList, each func()) error {
	for {
		if err := p.Live.List(ctx, list, client.InNamespace(p.name), client.Limit(500), client.Continue(list.GetContinue())); err != nil {
			return fmt.Errorf("list services of %s: %w", p.name, err)
		}
		if each(); list.GetContinue() == "" {
			return nil
		}
	}
}

// takeOver sends Services through admission, which makes them managed, and gives them their ports in the same request:
// that spares each of them a write, and the proxies the news of it.
func (p *pass) takeOver(ctx context.Context, missed map[types.UID]bool) error {
	var all, takers []*corev1.Service
	list := &corev1.ServiceList{}
	err := p.listServices(ctx, list, func() {
		for i := range list.Items {
			svc := list.Items[i].DeepCopy() // the next page is read into the same array
			if missed[svc.UID] {
				takers = append(takers, svc)
			}
			if missed[svc.UID] || phaseOf(svc) != "" {
				all = append(all, svc)
			}
		}
	})
	if err != nil {
		return err
	}
	changed, _ := ports.Allocate(allocations(all, p.optedIn), p.busy(), rand.IntN)
	var errs []error
	for _, svc := range takers {
		annotations := map[string]string{}
		if allocation, ok := changed[svc.UID]; ok {
			annotations[contract.PortsKey] = allocation.String()
		}
		errs = append(errs, p.take(ctx, svc, annotations))
	}
	return errors.Join(errs...)
}

// forgotten reports whether admission has missed a Service: it has a target and no phase, or a phase and no label.
func forgotten(svc *metav1.PartialObjectMetadata) bool {
	_, target := svc.Annotations[contract.TargetKey]
	_, phase := svc.Annotations[contract.PhaseKey]
	labelled := svc.Labels[contract.ManagedLabel] == contract.ManagedTrue
	return svc.DeletionTimestamp == nil && (target && !phase || phase && !labelled)
}

// take sends one Service through admission. A refusal is the user's to read and not worth another try: it stays until the
// Service is changed, and that goes through admission by itself.
func (p *pass) take(ctx context.Context, svc *corev1.Service, annotations map[string]string) error {
	err := p.patchService(ctx, svc, annotations)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case refused(err):
		p.said(svc, "adopt", corev1.EventTypeWarning, "Refused", "Adopt", err.Error())
		return nil
	}
	return err
}
