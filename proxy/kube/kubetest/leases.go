// Package kubetest lets tests put controller-runtime's client, such as its fake one, in the place of a kube.Client.
package kubetest

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Leases returns what kube.Client has for Leases, of another client.
func Leases(c client.Client) LeaseClient { return LeaseClient{c} }

// LeaseClient has the methods of a kube.Resource of Leases.
type LeaseClient struct{ client client.Client }

// Get reads a Lease.
func (l LeaseClient) Get(ctx context.Context, namespace, name string) (*coordinationv1.Lease, error) {
	lease := &coordinationv1.Lease{}
	return lease, l.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, lease)
}

// Create creates a Lease.
func (l LeaseClient) Create(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	lease = lease.DeepCopy()
	return lease, l.client.Create(ctx, lease)
}

// Update replaces a Lease.
func (l LeaseClient) Update(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	lease = lease.DeepCopy()
	return lease, l.client.Update(ctx, lease)
}

// MergePatch changes a Lease.
func (l LeaseClient) MergePatch(ctx context.Context, namespace, name string, patch []byte) (*coordinationv1.Lease, error) {
	lease := named(namespace, name)
	return lease, l.client.Patch(ctx, lease, client.RawPatch(types.MergePatchType, patch))
}

// Delete deletes a Lease that still has a resourceVersion.
func (l LeaseClient) Delete(ctx context.Context, namespace, name, resourceVersion string) error {
	return l.client.Delete(ctx, named(namespace, name), client.Preconditions{ResourceVersion: &resourceVersion})
}

func named(namespace, name string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}
