package target

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/kube/kubetest"
	"tpa.dev/tpa/proxy/sleep"
)

const namespace = "shop"

var (
	web      = contract.Target{Resource: "deployments", Group: "apps", Name: "web"}
	leaseKey = client.ObjectKey{Namespace: namespace, Name: web.Lease()}
)

// cluster is an API server in memory, in a synctest bubble. It treats a Lease as the real one does: a PUT without
// resourceVersion is refused, and one to a Lease that does not exist creates it unless it names the UID.
type cluster struct {
	t      *testing.T
	client client.WithWatch
	store  *Store
	events chan *coordinationv1.Lease

	mu       sync.Mutex
	uids     int
	scale    *autoscalingv1.Scale
	writes   []int32                                      // the replicas that were written, in turn
	before   func(ctx context.Context, call string) error // called with mu not held, before each call
	watchers map[*Keeper]bool
}

// bubble runs a test against a cluster with a Deployment web of some replicas, in synctest's time.
func bubble(t *testing.T, replicas int32, test func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, watchers: map[*Keeper]bool{}, events: make(chan *coordinationv1.Lease, 1000)}
		c.scale = &autoscalingv1.Scale{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: web.Name, ResourceVersion: "1000"},
			Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
			Status:     autoscalingv1.ScaleStatus{Selector: "app=web"},
		}
		scheme := runtime.NewScheme()
		if err := coordinationv1.AddToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		c.client = interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).Build(), interceptor.Funcs{
			Get: c.get, Create: c.create, Update: c.update, Delete: c.delete,
		})
		c.store = &Store{Leases: kubetest.Leases(c.client), Scales: scales{c}}
		go c.watch()
		t.Cleanup(func() { close(c.events) })
		test(t, c)
	})
}

// watch hands each version of the Lease to the Keepers, one after the other; an empty version is none.
func (c *cluster) watch() {
	for lease := range c.events {
		c.mu.Lock()
		keepers := make([]*Keeper, 0, len(c.watchers))
		for k, watching := range c.watchers {
			if watching {
				keepers = append(keepers, k)
			}
		}
		c.mu.Unlock()
		for _, k := range keepers {
			k.Observe(lease)
		}
	}
}

// intercept has every call pass a function first; nil ends that.
func (c *cluster) intercept(before func(ctx context.Context, call string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before = before
}

func (c *cluster) pass(ctx context.Context, call string) error {
	c.mu.Lock()
	before := c.before
	c.mu.Unlock()
	if before == nil {
		return ctx.Err()
	}
	return before(ctx, call)
}

func (c *cluster) get(ctx context.Context, w client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if err := c.pass(ctx, "get lease"); err != nil {
		return err
	}
	return w.Get(ctx, key, o, opts...)
}

func (c *cluster) create(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.CreateOption) error {
	if err := c.pass(ctx, "create lease"); err != nil {
		return err
	}
	return c.put(w.Create(ctx, c.born(o), opts...), o)
}

func (c *cluster) update(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
	if err := c.pass(ctx, "update lease"); err != nil {
		return err
	}
	var was coordinationv1.Lease
	leases := schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	err := w.Get(ctx, client.ObjectKeyFromObject(o), &was)
	switch {
	case apierrors.IsNotFound(err) && o.GetUID() == "":
		o.SetResourceVersion("")
		return c.put(w.Create(ctx, c.born(o)), o)
	case apierrors.IsNotFound(err), err == nil && o.GetUID() != "" && o.GetUID() != was.UID:
		return apierrors.NewConflict(leases, o.GetName(), fmt.Errorf("precondition failed: UID"))
	case err != nil:
		return err
	case o.GetResourceVersion() == "":
		return apierrors.NewInvalid(coordinationv1.SchemeGroupVersion.WithKind("Lease").GroupKind(), o.GetName(), nil)
	}
	o.SetUID(was.UID)
	return c.put(w.Update(ctx, o, opts...), o)
}

func (c *cluster) delete(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
	if err := c.pass(ctx, "delete lease"); err != nil {
		return err
	}
	return c.put(w.Delete(ctx, o, opts...), nil)
}

// born gives an object its UID.
func (c *cluster) born(o client.Object) client.Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uids++
	o.SetUID(types.UID("lease-" + strconv.Itoa(c.uids)))
	return o
}

// put has a successful change watched.
func (c *cluster) put(err error, o client.Object) error {
	if err == nil {
		lease, _ := o.(*coordinationv1.Lease)
		c.events <- lease.DeepCopy()
	}
	return err
}

// scaleTo changes the replicas as somebody else would.
func (c *cluster) scaleTo(replicas int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setScale(replicas)
}

func (c *cluster) setScale(replicas int32) {
	version, _ := strconv.Atoi(c.scale.ResourceVersion)
	c.scale.ResourceVersion, c.scale.Spec.Replicas = strconv.Itoa(version+1), replicas
}

// replicas returns what the target has, and what was written.
func (c *cluster) replicas() (int32, []int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scale.Spec.Replicas, append([]int32(nil), c.writes...)
}

// lease returns the Lease, nil if there is none.
func (c *cluster) lease() *coordinationv1.Lease {
	c.t.Helper()
	c.intercept(nil)
	var lease coordinationv1.Lease
	err := c.client.Get(c.t.Context(), leaseKey, &lease)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return &lease
}

// state returns what the Lease says.
func (c *cluster) state() sleep.State {
	c.t.Helper()
	lease := c.lease()
	if lease == nil {
		c.t.Fatal("there is no Lease")
	}
	state, err := sleep.Parse(lease.Annotations[contract.StateKey])
	if err != nil {
		c.t.Fatal(err)
	}
	return state
}

// edit writes the Lease as somebody else would, and creates it if there is none.
func (c *cluster) edit(change func(state *sleep.State)) {
	c.t.Helper()
	was, err := c.store.read(c.t.Context(), namespace, web)
	if err != nil {
		c.t.Fatal(err)
	}
	if !was.exists() {
		was.state = sleep.State{Phase: sleep.Awake, Since: now()}
	}
	state := was.state
	state.Claims = map[string]sleep.Claim{}
	for holder, claim := range was.state.Claims {
		state.Claims[holder] = claim
	}
	change(&state)
	state.Seq++
	if _, err := c.store.swap(c.t.Context(), namespace, web, was, state); err != nil {
		c.t.Fatal(err)
	}
	synctest.Wait()
}

// pass lets time go by, and everything happen that is then due.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// scales are the cluster's one scale, with the resourceVersion as a precondition of writes.
type scales struct{ c *cluster }

func (s scales) Get(ctx context.Context, _ string, r schema.GroupResource, name string) (*autoscalingv1.Scale, error) {
	if err := s.c.pass(ctx, "get scale"); err != nil {
		return nil, err
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.scale == nil || r != web.GroupResource() || name != web.Name {
		return nil, apierrors.NewNotFound(r, name)
	}
	return s.c.scale.DeepCopy(), nil
}

func (s scales) Update(ctx context.Context, r schema.GroupResource, want *autoscalingv1.Scale, _ string) (*autoscalingv1.Scale, error) {
	if err := s.c.pass(ctx, "update scale"); err != nil {
		return nil, err
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case s.c.scale == nil:
		return nil, apierrors.NewNotFound(r, want.Name)
	case want.ResourceVersion != s.c.scale.ResourceVersion:
		return nil, apierrors.NewConflict(r, want.Name, fmt.Errorf("the object has been modified"))
	}
	s.c.writes = append(s.c.writes, want.Spec.Replicas)
	s.c.setScale(want.Spec.Replicas)
	return s.c.scale.DeepCopy(), nil
}
