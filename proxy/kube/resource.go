package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Object is a pointer to the Go type of a kind.
type Object interface {
	metav1.Object
	runtime.Object
}

// Resource is one kind of namespaced objects at the API server. What its methods return is the caller's, and their errors
// are those of apimachinery's api/errors where the API server has answered.
type Resource[O Object] struct {
	rest   rest.Interface
	plural string
	fresh  func() O
}

// Get reads an object.
func (r Resource[O]) Get(ctx context.Context, namespace, name string) (O, error) {
	return r.result(ctx, r.rest.Get().Namespace(namespace).Name(name))
}

// Create creates an object and returns it as it was stored.
func (r Resource[O]) Create(ctx context.Context, o O) (O, error) {
	return r.result(ctx, r.rest.Post().Namespace(o.GetNamespace()).Body(o))
}

// Update replaces an object, if it still has the resourceVersion and UID that are given, and returns it as it was stored.
func (r Resource[O]) Update(ctx context.Context, o O) (O, error) {
	return r.result(ctx, r.rest.Put().Namespace(o.GetNamespace()).Name(o.GetName()).Body(o))
}

// MergePatch changes an object by a JSON merge patch, and returns it as it was stored.
func (r Resource[O]) MergePatch(ctx context.Context, namespace, name string, patch []byte) (O, error) {
	return r.result(ctx, r.rest.Patch(types.MergePatchType).Namespace(namespace).Name(name).Body(patch))
}

// Delete deletes an object if it still has that resourceVersion.
func (r Resource[O]) Delete(ctx context.Context, namespace, name, resourceVersion string) error {
	options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &resourceVersion}}
	return r.rest.Delete().Namespace(namespace).Resource(r.plural).Name(name).Body(options).Do(ctx).Error()
}

func (r Resource[O]) result(ctx context.Context, request *rest.Request) (O, error) {
	o := r.fresh()
	err := request.Resource(r.plural).Do(ctx).Into(o)
	return o, err
}
