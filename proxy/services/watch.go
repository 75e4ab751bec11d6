package services

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/kube"
	"tpa.dev/tpa/proxy/target"
)

// watches are what is seen of the namespace.
type watches struct {
	services kube.Informer[*corev1.Service]
	pods     kube.Informer[*corev1.Pod]
	leases   kube.Informer[*coordinationv1.Lease]
}

func (m *Manager) watches(c *kube.Client) watches {
	in := m.options.Namespace
	handler := toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { m.hear(nil, o); m.changed(o) },
		UpdateFunc: func(was, o any) { m.hear(was, o); m.changed(o) },
		DeleteFunc: m.gone,
	}
	leases := fmt.Sprintf("%s in (%s,%s)", contract.LeaseLabel, contract.LeaseTarget, contract.LeaseDefaults)
	return watches{
		services: c.Services.Informer(in, kube.Watch[*corev1.Service]{Handler: handler, Strip: stripService}),
		pods:     c.Pods.Informer(in, kube.Watch[*corev1.Pod]{Handler: handler, Strip: StripPod}),
		leases:   c.Leases.Informer(in, kube.Watch[*coordinationv1.Lease]{Handler: handler, Selector: leases}),
	}
}

// start watches until ctx ends.
func (w watches) start(ctx context.Context, running *sync.WaitGroup) {
	running.Go(func() { w.services.Run(ctx) })
	running.Go(func() { w.pods.Run(ctx) })
	running.Go(func() { w.leases.Run(ctx) })
}

// wait returns nil when everything has been listed once.
func (w watches) wait(ctx context.Context) error {
	if !toolscache.WaitFor(ctx, "", w.services.Synced(), w.pods.Synced(), w.leases.Synced()) {
		return context.Cause(ctx)
	}
	return nil
}

// world returns the namespace as it was last watched.
func (w watches) world(namespace string) World {
	world := World{Services: w.services.List(), Pods: w.pods.List()}
	if lease, ok := w.leases.Get(namespace, contract.ProxyName); ok {
		world.Defaults, _ = contract.ParseDefaults(lease.Annotations) // the controller copies good values only
	}
	return world
}

// hear notes when a pod is first heard to be ready: the plan that takes note of it may have to wait for another one.
func (m *Manager) hear(was, is any) {
	pod, ok := is.(*corev1.Pod)
	before, _ := was.(*corev1.Pod)
	if ok && isReady(pod) && (before == nil || !isReady(before)) {
		m.heard.Store(pod.UID, time.Now())
	}
}

func (m *Manager) changed(o any) {
	if lease, ok := o.(*coordinationv1.Lease); ok && lease.Labels[contract.LeaseLabel] == contract.LeaseTarget {
		m.observe(lease.Name, lease)
		return
	}
	m.poke()
}

func (m *Manager) gone(o any) {
	if tombstone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = tombstone.Obj
	}
	if lease, ok := o.(*coordinationv1.Lease); ok && lease.Labels[contract.LeaseLabel] == contract.LeaseTarget {
		m.observe(lease.Name, nil)
		return
	}
	if pod, ok := o.(*corev1.Pod); ok {
		m.heard.Delete(pod.UID)
		m.podsGone.Store(true)
	}
	m.poke()
}

// observe hands a target's Lease to its keeper.
func (m *Manager) observe(name string, lease *coordinationv1.Lease) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.leases[name]; k != nil {
		k.Observe(lease)
	}
}

// newKeeper returns a keeper that knows the target's Lease as it was last watched.
func (m *Manager) newKeeper(t contract.Target) *target.Keeper {
	k := target.New(target.Config{
		Namespace: m.options.Namespace, Target: t, Pod: m.options.Pod, Process: m.process, Store: m.store,
		Log:    m.log.WithLazy(zap.Stringer("target", t)), // an encoder of its own, 1 KiB, is for targets that have something to say
		Gone:   m.gonePods,
		Exists: m.podExists,
		Turns:  m.turns,
		Lost:   m.reach.Lost,
		Allow: func(podSelector string) string {
			return m.allow(t, podSelector)
		},
		Held:         func() bool { return m.pools.wait(t) },
		OnDoze:       func() { m.pools.doze(t) },
		OnPhase:      m.poke,
		OnSleep:      func(why target.SleepReason) { m.metrics.slept(t, why) },
		OnWake:       func() { m.metrics.woke(t) },
		OnTransition: func(h target.Transition) { m.teller.tell(happening{t, time.Now(), h}) },

		OnWoken: func(outcome contract.WakeOutcome, took time.Duration) { m.metrics.woken(t, outcome, took) },
		OnStage: func(s target.Stage, took time.Duration) { m.metrics.stage(t, s, took) },
	})
	lease, _ := m.watched.leases.Get(m.options.Namespace, t.Lease())
	k.Observe(lease) // nil: there is none
	return k
}

// gonePods returns the holders whose pods are not among the watched.
func (m *Manager) gonePods(holders []string) []string {
	var gone []string
	for _, holder := range holders {
		if strings.HasPrefix(holder, "/") {
			continue
		}
		if _, there := m.watched.pods.Get(m.options.Namespace, holder); !there {
			gone = append(gone, holder)
		}
	}
	return gone
}

func (m *Manager) podExists(ctx context.Context, name string) (bool, error) {
	_, err := m.pods.Get(ctx, m.options.Namespace, name)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// allow learns the selector of a target's pods, and says why the target must not sleep although it is idle.
func (m *Manager) allow(t contract.Target, podSelector string) string {
	selector, err := labels.Parse(podSelector)
	if err != nil || selector.Empty() {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.podSelectors[t]; known == nil || known.String() != selector.String() {
		m.podSelectors[t], m.anew = selector, true
		m.poke()
	}
	why := m.world.mismatch(t, selector)
	m.denied[t] = why != ""
	return why
}

// newProcess returns a name for this process that no other process has.
func newProcess(pod string) string {
	return pod + "/" + time.Now().UTC().Format("20060102T150405.000000000")
}
