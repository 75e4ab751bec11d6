package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// Watch says what an Informer keeps, and who is told. The zero value keeps all objects of the namespace.
type Watch[O Object] struct {
	// Selector restricts it to objects with such labels, as in "app in (a,b)"; default: all.
	Selector string
	// Strip returns what is to be kept of an object, which it may change; default: all but the managed fields.
	Strip func(O) O
	// Handler is told of each change, one after the other, after it can be read. A handler that waits delays all that
	// comes after it.
	Handler cache.ResourceEventHandler
}

// Informer keeps the objects of one kind in a namespace as they were last watched. What its methods return is shared, so
// nobody may change it.
type Informer[O Object] struct {
	store      cache.Store
	controller cache.Controller
}

// Informer returns an Informer that Run starts.
func (r Resource[O]) Informer(namespace string, w Watch[O]) Informer[O] {
	source := cache.NewFilteredListWatchFromClient(r.rest, r.plural, namespace, func(o *metav1.ListOptions) {
		o.LabelSelector = w.Selector
	})
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: persistent(source), ObjectType: r.fresh(), Handler: w.Handler, Transform: w.transform,
	})
	return Informer[O]{store, controller}
}

// transform is w as a cache.TransformFunc, which is also given what is not an object, such as that one was lost sight of.
func (w Watch[O]) transform(v any) (any, error) {
	o, ok := v.(O)
	if !ok {
		return v, nil
	}
	o.SetManagedFields(nil)
	if w.Strip != nil {
		o = w.Strip(o)
	}
	return o, nil
}

// Run watches until ctx ends.
func (i Informer[O]) Run(ctx context.Context) { i.controller.RunWithContext(ctx) }

// Synced is done once all that there was at the start has been read and handled.
func (i Informer[O]) Synced() cache.DoneChecker { return i.controller.HasSyncedChecker() }

// List returns all objects, in any order.
func (i Informer[O]) List() []O {
	list := i.store.List()
	objects := make([]O, len(list))
	for n, o := range list {
		objects[n] = o.(O)
	}
	return objects
}

// Get returns an object, and whether there is one.
func (i Informer[O]) Get(namespace, name string) (o O, found bool) {
	v, found, _ := i.store.GetByKey(cache.NewObjectName(namespace, name).String()) // a store in memory does not fail
	if found {
		o = v.(O)
	}
	return o, found
}
