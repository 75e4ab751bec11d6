//go:build integration

package truth

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
)

// place is a namespace in which a row is played: one for each way to be in a phase, and the twins' ones.
type place struct {
	name string
	// phase is the one in which the edit finds the Service; a twin has none.
	phase contract.Phase
	// left: the user has removed the annotation before the edit.
	left bool
	// twin is the name of the place whose Service had the same treatment without TPA.
	twin string
}

var places = []place{
	{name: "Pending", phase: contract.Pending, twin: "twin"},
	{name: "Active", phase: contract.Active, twin: "twin"},
	// The namespace has left, or TPA is being removed: the annotation is still there.
	{name: "Restoring", phase: contract.Restoring, twin: "twin"},
	{name: "Restoring-user", phase: contract.Restoring, twin: "twin-user", left: true},
	{name: "twin"},
	{name: "twin-user", left: true},
}

// next is the phase after an edit that is not refused.
func (p place) next(e edit) contract.Phase {
	switch {
	case e.name == optedOut.name && p.phase == contract.Pending:
		return ""
	case e.name == optedOut.name && p.phase == contract.Active:
		return contract.Restoring
	case e.name == optedIn.name:
		return contract.Active
	}
	return p.phase
}

// played reports whether an edit says anything in this place.
func (p place) played(e edit) bool {
	switch e.name {
	case optedIn.name:
		return p.left
	case optedOut.name:
		return !p.left
	}
	return true
}

// manifest is what the user has in hand here, with or without an edit.
func (p place) manifest(namespace string, e edit) *manifest {
	m := base(namespace)
	if p.left {
		optedOut.do(m)
	}
	e.do(m)
	return m
}

// createNamespace makes a namespace, opted in unless it is a twin's.
func createNamespace(ctx context.Context, name string, optIn bool) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if optIn {
		ns.Labels = map[string]string{contract.InjectLabel: contract.InjectEnabled}
	}
	return server.Admin.Create(ctx, ns)
}

func get(ctx context.Context, namespace string) (*corev1.Service, error) {
	svc := &corev1.Service{}
	err := server.Admin.Get(ctx, k8s.ObjectKey{Namespace: namespace, Name: name}, svc)
	return svc, err
}

// controller plays TPA's controller: it sets annotations of a Service that is still as it was seen, as the controller
// does (webhook/controller/patch.go). The empty value takes one off.
func controller(ctx context.Context, namespace, key, value string) error {
	svc, err := get(ctx, namespace)
	if err != nil {
		return err
	}
	return annotate(ctx, self, svc, key, value, k8s.FieldOwner(contract.FieldManager))
}

// annotate sets an annotation with the rights of a client.
func annotate(ctx context.Context, c k8s.Client, svc *corev1.Service, key, value string, opts ...k8s.PatchOption) error {
	values := map[string]any{key: value}
	if value == "" {
		values[key] = nil
	}
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": values, "resourceVersion": svc.ResourceVersion,
	}})
	if err != nil {
		return err
	}
	err = c.Patch(ctx, svc.DeepCopy(), k8s.RawPatch(types.MergePatchType, data), opts...)
	if err != nil {
		return fmt.Errorf("annotate service %s/%s with %s=%q: %w", svc.Namespace, svc.Name, key, value, err)
	}
	return nil
}

// activate brings a Pending Service to Active.
func activate(ctx context.Context, namespace string) error {
	if err := controller(ctx, namespace, contract.PortsKey, slots); err != nil {
		return err
	}
	return controller(ctx, namespace, contract.PhaseKey, string(contract.Active))
}

// optOut removes the annotation, if it is there, and lets the controller do the rest.
func optOut(ctx context.Context, namespace string) (*corev1.Service, error) {
	svc, err := get(ctx, namespace)
	if err != nil {
		return nil, err
	}
	phase := contract.Phase(svc.Annotations[contract.PhaseKey])
	_, wanted := svc.Annotations[contract.TargetKey]
	if wanted && phase != contract.Restoring {
		if err := annotate(ctx, server.Admin, svc, contract.TargetKey, ""); err != nil {
			return nil, err
		}
	}
	if phase.Rewritten() {
		if err := controller(ctx, namespace, contract.PhaseKey, ""); err != nil {
			return nil, err
		}
	}
	return get(ctx, namespace)
}
