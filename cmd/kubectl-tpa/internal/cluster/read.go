package cluster

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
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"golang.org/x/sync/errgroup"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
	"tpa.dev/tpa/webhook/view"
)

// atOnce is how many requests are under way at once.
const atOnce = 16

// ProxyLabels selects the proxies' Deployments and pods.
func ProxyLabels() string { return labels.SelectorFromSet(proxyobjects.Labels()).String() }

// Read reads a namespace, or all that have a Service of interest for the empty name, in the order of their names.
func (c *Client) Read(ctx context.Context, namespace string) ([]*view.Namespace, error) {
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
	c   *Client
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
	list, err := r.c.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range list.Items {
		if svc := &list.Items[i]; view.Wanted(svc) {
			r.namespace(svc.Namespace)
		}
	}
	for i := range list.Items {
		if n := r.byName[list.Items[i].Namespace]; n != nil {
			n.Services = append(n.Services, &list.Items[i])
		}
	}
	return nil
}

// allowed drops the error of who may not read something.
func allowed(err error) (bool, error) {
	if apierrors.IsForbidden(err) {
		return false, nil
	}
	return err == nil, err
}

func (r *reading) pods(ctx context.Context, namespace string) error {
	list, err := r.c.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if ok, err := allowed(err); !ok {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.byName {
		n.Pods = []*corev1.Pod{}
	}
	for i := range list.Items {
		if n := r.byName[list.Items[i].Namespace]; n != nil {
			n.Pods = append(n.Pods, &list.Items[i])
		}
	}
	return nil
}

func (r *reading) leases(ctx context.Context, namespace string) error {
	list, err := r.c.CoordinationV1().Leases(namespace).List(ctx, metav1.ListOptions{LabelSelector: contract.LeaseLabel})
	if ok, err := allowed(err); !ok {
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
	list, err := r.c.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: ProxyLabels()})
	if ok, err := allowed(err); !ok {
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
		one, err := r.c.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil // kubectl, too, says that nothing is found in one that does not exist
		}
		if ok, err := allowed(err); !ok {
			return err
		}
		items = append(items, *one)
	} else {
		list, err := r.c.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if ok, err := allowed(err); !ok {
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
	got, err := r.c.scales.Get(ctx, n.Name, t.GroupResource(), t.Name)
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

// ReadMore adds to a namespace what only an explanation of a Service needs.
func (c *Client) ReadMore(ctx context.Context, n *view.Namespace, service string) error {
	events, err := c.EventsV1().Events(n.Name).List(ctx, metav1.ListOptions{})
	if ok, err := allowed(err); err != nil {
		return err
	} else if ok {
		n.Events = append([]eventsv1.Event{}, events.Items...) // not nil, even if there are none
	}
	i := slices.IndexFunc(n.Services, func(svc *corev1.Service) bool { return svc.Name == service })
	if i < 0 {
		return nil
	}
	n.ProxyMayScale = map[contract.Target]bool{}
	for _, t := range view.Targets(n.Services[i]) {
		may, known, err := c.proxyMayScale(ctx, n.Name, t)
		if err != nil {
			return err
		}
		if known {
			n.ProxyMayScale[t] = may
		}
	}
	return nil
}
