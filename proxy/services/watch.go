package services

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/target"
)

// scheme has the types that a proxy deals with, and no more: each costs memory.
func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme, eventsv1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // only two types of one name can make this fail
		}
	}
	return s
}

// cacheOptions restricts what is watched to the namespace, and what is kept of it to what Plan looks at.
func cacheOptions(namespace string) (cache.Options, error) {
	kind, err := labels.NewRequirement(contract.LeaseLabel, selection.In, []string{contract.LeaseTarget, contract.LeaseDefaults})
	if err != nil {
		return cache.Options{}, fmt.Errorf("lease selector: %w", err)
	}
	return cache.Options{
		Scheme:            scheme(),
		DefaultNamespaces: map[string]cache.Config{namespace: {}},
		DefaultTransform:  cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}:           {Transform: stripPod},
			&coordinationv1.Lease{}: {Label: labels.NewSelector().Add(*kind)},
		},
	}, nil
}

// stripPod keeps of a Pod what Plan needs.
func stripPod(o any) (any, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, Labels: pod.Labels,
			ResourceVersion: pod.ResourceVersion, DeletionTimestamp: pod.DeletionTimestamp,
		},
		Status: corev1.PodStatus{PodIP: pod.Status.PodIP, PodIPs: pod.Status.PodIPs},
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			kept.Status.Conditions = []corev1.PodCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	for _, c := range pod.Spec.Containers {
		kept.Spec.Containers = append(kept.Spec.Containers, corev1.Container{Ports: c.Ports})
	}
	for _, c := range pod.Spec.InitContainers {
		kept.Spec.InitContainers = append(kept.Spec.InitContainers, corev1.Container{Ports: c.Ports})
	}
	return kept, nil
}

// watch registers the handlers and waits until everything has been listed once.
func (m *Manager) watch(ctx context.Context) error {
	for _, o := range []client.Object{&corev1.Service{}, &corev1.Pod{}, &coordinationv1.Lease{}} {
		informer, err := m.cache.GetInformer(ctx, o, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %T in %s: %w", o, m.options.Namespace, err)
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    m.changed,
			UpdateFunc: func(_, o any) { m.changed(o) },
			DeleteFunc: m.gone,
		})
		if err != nil {
			return fmt.Errorf("watch %T in %s: %w", o, m.options.Namespace, err)
		}
	}
	if !m.cache.WaitForCacheSync(ctx) {
		return fmt.Errorf("list namespace %s: %w", m.options.Namespace, context.Cause(ctx))
	}
	return nil
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
	m.poke()
}

// observe hands a target's Lease to its keeper.
func (m *Manager) observe(name string, lease *coordinationv1.Lease) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t, k := range m.targets {
		if t.Lease() == name {
			k.Observe(lease)
		}
	}
}

// read returns the namespace as it was last watched.
func (m *Manager) read(ctx context.Context) (World, error) {
	var w World
	var services corev1.ServiceList
	if err := m.cache.List(ctx, &services, client.UnsafeDisableDeepCopy); err != nil {
		return w, fmt.Errorf("list services: %w", err)
	}
	for i := range services.Items {
		w.Services = append(w.Services, &services.Items[i])
	}
	var pods corev1.PodList
	if err := m.cache.List(ctx, &pods, client.UnsafeDisableDeepCopy); err != nil {
		return w, fmt.Errorf("list pods: %w", err)
	}
	for i := range pods.Items {
		w.Pods = append(w.Pods, &pods.Items[i])
	}
	var lease coordinationv1.Lease
	err := m.cache.Get(ctx, client.ObjectKey{Namespace: m.options.Namespace, Name: contract.ProxyName}, &lease)
	if err != nil && !apierrors.IsNotFound(err) {
		return w, fmt.Errorf("read lease %s: %w", contract.ProxyName, err)
	}
	// The controller copies good values only.
	w.Defaults, _ = contract.ParseDefaults(lease.Annotations)
	return w, nil
}

// newKeeper returns a keeper that knows the target's Lease as it was last watched.
func (m *Manager) newKeeper(t contract.Target) *target.Keeper {
	k := target.New(target.Config{
		Namespace: m.options.Namespace, Target: t, Pod: m.options.Pod, Process: m.process, Store: m.store,
		Log:    m.log.With(zap.Stringer("target", t)),
		Gone:   m.gonePods,
		Exists: m.podExists,
		Lost:   m.reach.Lost,
		Allow: func(podSelector string) string {
			return m.allow(t, podSelector)
		},
		OnDoze:  func() { m.doze(t) },
		OnPhase: m.poke,
		OnSleep: func() { m.metrics.slept(t) },
		OnWake:  func() { m.metrics.woke(t) },
	})
	var lease coordinationv1.Lease
	err := m.cache.Get(context.Background(), client.ObjectKey{Namespace: m.options.Namespace, Name: t.Lease()}, &lease)
	switch {
	case err == nil:
		k.Observe(&lease)
	case apierrors.IsNotFound(err):
		k.Observe(nil)
	}
	return k
}

// gonePods returns the holders whose pods are not among the watched.
func (m *Manager) gonePods(holders []string) []string {
	var gone []string
	for _, holder := range holders {
		var pod corev1.Pod
		key := client.ObjectKey{Namespace: m.options.Namespace, Name: holder}
		if strings.HasPrefix(holder, "/") {
			continue
		}
		if err := m.cache.Get(context.Background(), key, &pod, client.UnsafeDisableDeepCopy); apierrors.IsNotFound(err) {
			gone = append(gone, holder)
		}
	}
	return gone
}

func (m *Manager) podExists(ctx context.Context, name string) (bool, error) {
	err := m.client.Get(ctx, client.ObjectKey{Namespace: m.options.Namespace, Name: name}, &corev1.Pod{})
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
		m.podSelectors[t] = selector
		m.poke()
	}
	return m.world.Mismatch(t, selector)
}

// newProcess returns a name for this process that no other process has.
func newProcess(pod string) string {
	return pod + "/" + time.Now().UTC().Format("20060102T150405.000000000")
}
