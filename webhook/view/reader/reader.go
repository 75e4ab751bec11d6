// Package reader reads what package view needs, from the API server and with the rights of its caller:
//
//	namespaces, err := reader.Reader{Client: client, Scales: scales}.Read(ctx, "") // of all namespaces
//
// What may not be read is left out, except for Services: without them there is nothing to show. It lists in pages, and keeps
// of what it reads only what view looks at, so that its memory goes with what TPA manages and not with the cluster.
package reader

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	"golang.org/x/sync/errgroup"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/kube"
	"tpa.dev/tpa/proxy/services"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
	"tpa.dev/tpa/webhook/view"
)

// atOnce is how many requests are under way at once.
const atOnce = 16

// ProxyLabels selects the proxies' Deployments and pods.
func ProxyLabels() string { return labels.SelectorFromSet(proxyobjects.Labels()).String() }

// Reader reads namespaces. Both fields are needed.
type Reader struct {
	Client kubernetes.Interface
	Scales *kube.Scales
}

// Read reads a namespace, or all that have a Service of interest for the empty name, in the order of their names.
func (c Reader) Read(ctx context.Context, namespace string) ([]*view.Namespace, error) {
	r := reading{c: c, byName: map[string]*view.Namespace{}, now: time.Now()}
	if namespace != "" {
		r.namespace(namespace)
	}
	if err := r.services(ctx, namespace); err != nil {
		return nil, err
	}
	group, ctx2 := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, read := range []func(context.Context, string) error{r.pods, r.leases, r.proxies, r.metas} {
		group.Go(func() error { return read(ctx2, namespace) })
	}
	for _, n := range r.byName {
		for _, t := range targets(n) {
			group.Go(func() error { return r.scale(ctx2, n, t) })
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(r.byName), func(a, b *view.Namespace) int { return cmp.Compare(a.Name, b.Name) }), nil
}

// targets are those that Services of a namespace name.
func targets(n *view.Namespace) []contract.Target {
	var all []contract.Target
	for _, svc := range n.Services {
		for _, t := range view.Targets(svc) {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	return all
}

// reading is what has been read so far.
type reading struct {
	c   Reader
	now time.Time

	mu     sync.Mutex
	byName map[string]*view.Namespace
}

func (r *reading) namespace(name string) *view.Namespace {
	n := r.byName[name]
	if n == nil {
		n = &view.Namespace{Name: name, Now: r.now, Scales: map[contract.Target]view.Scale{}}
		r.byName[name] = n
	}
	return n
}

// services reads all of them: those that nobody manages may keep a target awake. Of all namespaces it keeps those with one
// that TPA has to do with.
func (r *reading) services(ctx context.Context, namespace string) error {
	var all []*corev1.Service
	err := each(ctx, r.c.Client.CoreV1().Services(namespace).List, metav1.ListOptions{}, func(svc *corev1.Service) {
		kept := *svc // without the rest of its page
		kept.ManagedFields, kept.Status = nil, corev1.ServiceStatus{}
		delete(kept.Annotations, corev1.LastAppliedConfigAnnotation)
		if all = append(all, &kept); view.Wanted(&kept) {
			r.namespace(kept.Namespace)
		}
	})
	if err != nil {
		return err
	}
	for _, svc := range all {
		if n := r.byName[svc.Namespace]; n != nil {
			n.Services = append(n.Services, svc)
		}
	}
	return nil
}

// each hands over every object of a list, which it reads in pages.
func each[O any, L runtime.Object](ctx context.Context, list func(context.Context, metav1.ListOptions) (L, error), options metav1.ListOptions,
	take func(*O),
) error {
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return list(ctx, options)
	})
	return pages.EachListItem(ctx, options, func(object runtime.Object) error {
		one, ok := object.(any).(*O)
		if !ok {
			return fmt.Errorf("a list of %T has a %T", *new(L), object)
		}
		take(one)
		return nil
	})
}

// Allowed drops the error of who may not read something.
func Allowed(err error) (bool, error) {
	if apierrors.IsForbidden(err) {
		return false, nil
	}
	return err == nil, err
}

func (r *reading) pods(ctx context.Context, namespace string) error {
	byName := map[string][]*corev1.Pod{}
	err := each(ctx, r.c.Client.CoreV1().Pods(namespace).List, metav1.ListOptions{}, func(pod *corev1.Pod) {
		if r.byName[pod.Namespace] != nil { // nothing is added to it any more
			kept := services.StripPod(pod)
			kept.Status.Conditions = pod.Status.Conditions // with what they say to people
			byName[pod.Namespace] = append(byName[pod.Namespace], kept)
		}
	})
	if ok, err := Allowed(err); !ok {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, n := range r.byName {
		n.Pods = append([]*corev1.Pod{}, byName[name]...) // not nil, even if there are none
	}
	return nil
}

func (r *reading) leases(ctx context.Context, namespace string) error {
	list, err := r.c.Client.CoordinationV1().Leases(namespace).List(ctx, metav1.ListOptions{LabelSelector: contract.LeaseLabel})
	if ok, err := Allowed(err); !ok {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.byName {
		n.Leases = []*coordinationv1.Lease{}
	}
	for i := range list.Items {
		if n := r.byName[list.Items[i].Namespace]; n != nil {
			n.Leases = append(n.Leases, &list.Items[i])
		}
	}
	return nil
}

func (r *reading) proxies(ctx context.Context, namespace string) error {
	list, err := r.c.Client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: ProxyLabels()})
	if ok, err := Allowed(err); !ok {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.byName {
		n.ProxyKnown = true
		if i := slices.IndexFunc(list.Items, func(d appsv1.Deployment) bool { return d.Namespace == n.Name }); i >= 0 {
			n.Proxy = &list.Items[i]
		}
	}
	return nil
}

// metas reads the Namespaces themselves.
func (r *reading) metas(ctx context.Context, namespace string) error {
	var items []corev1.Namespace
	if namespace != "" {
		one, err := r.c.Client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil // kubectl, too, says that nothing is found in one that does not exist
		}
		if ok, err := Allowed(err); !ok {
			return err
		}
		items = append(items, *one)
	} else {
		list, err := r.c.Client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if ok, err := Allowed(err); !ok {
			return err
		}
		items = list.Items
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range items {
		if n := r.byName[items[i].Name]; n != nil {
			n.Meta = &items[i]
		}
	}
	return nil
}

func (r *reading) scale(ctx context.Context, n *view.Namespace, t contract.Target) error {
	var scale view.Scale
	got, err := r.c.Scales.Get(ctx, n.Name, t.GroupResource(), t.Name)
	switch {
	case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
		scale.Missing = true
	case apierrors.IsForbidden(err):
	case err != nil:
		return fmt.Errorf("scale of %s in namespace %s: %w", t, n.Name, err)
	default:
		scale.Known, scale.Replicas = true, got.Spec.Replicas
		scale.Selector, err = labels.Parse(got.Status.Selector)
		if err != nil {
			return fmt.Errorf("selector of %s in namespace %s: %w", t, n.Name, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n.Scales[t] = scale
	return nil
}
