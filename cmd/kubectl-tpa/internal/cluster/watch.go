package cluster

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"tpa.dev/tpa/proxy/contract"
)

// Watch sends the name of each namespace in which something has changed that a status may depend on, and of all in the
// beginning, until ctx ends. The namespace is one, or all for the empty name.
func (c *Client) Watch(ctx context.Context, namespace string, changed chan<- string) error {
	leases := informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = contract.LeaseLabel })
	all := informers.NewSharedInformerFactoryWithOptions(c, 0, informers.WithNamespace(namespace), informers.WithTransform(bare))
	ours := informers.NewSharedInformerFactoryWithOptions(c, 0, informers.WithNamespace(namespace), informers.WithTransform(bare), leases)
	defer all.Shutdown()
	defer ours.Shutdown()
	tell := func(o any) {
		if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		select {
		case changed <- o.(metav1.Object).GetNamespace():
		case <-ctx.Done():
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: tell, UpdateFunc: func(_, o any) { tell(o) }, DeleteFunc: tell}
	ctx, stop := context.WithCancel(ctx)
	defer stop() // before the factories wait for their informers
	for _, kind := range []struct {
		group, resource string
		informer        func() cache.SharedIndexInformer
	}{
		{"", "services", all.Core().V1().Services().Informer},
		{"", "pods", all.Core().V1().Pods().Informer},
		{"coordination.k8s.io", "leases", ours.Coordination().V1().Leases().Informer},
	} {
		may, err := c.May(ctx, authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: "watch", Group: kind.group, Resource: kind.resource,
		})
		if err != nil {
			return err
		}
		if !may {
			continue // it is unknown in the status, too
		}
		if _, err := kind.informer().AddEventHandler(handler); err != nil {
			return err
		}
	}
	all.StartWithContext(ctx)
	ours.StartWithContext(ctx)
	<-ctx.Done()
	return nil
}

// bare leaves nothing of an object but whose it is: only that something has changed matters.
func bare(o any) (any, error) {
	object, ok := o.(metav1.Object)
	if !ok {
		return o, nil
	}
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID(), ResourceVersion: object.GetResourceVersion(),
	}}, nil
}
