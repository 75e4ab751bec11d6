package controller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// needsProxy reports whether some Service is served by a proxy or is about to be.
func (w *world) needsProxy() bool {
	for _, svc := range w.services {
		if phaseOf(svc).Rewritten() || w.optedIn && svc.DeletionTimestamp == nil {
			return true
		}
	}
	return false
}

// ensure applies those of the proxy's objects that are missing or out of date.
func (p *pass) ensure(ctx context.Context) error {
	if !p.needsProxy() {
		return nil
	}
	objects, err := proxyobjects.Wanted(p.name, p.defaults(), p.Proxy)
	if err != nil {
		return err
	}
	var errs []error
	lease := false
	for _, object := range objects {
		lease = lease || object.Kind() == "Lease"
		if hash, ok := p.present[object.Kind()]; ok && hash == object.Hash && !p.rescaled(object) {
			continue
		}
		err := p.Client.Apply(ctx, object.Configuration(), client.FieldOwner(contract.FieldManager), client.ForceOwnership)
		if err != nil {
			errs = append(errs, fmt.Errorf("apply %s %s/%s: %w", object.Kind(), p.name, contract.ProxyName, err))
			continue
		}
		ctrl.LoggerFrom(ctx).Info("applied", "kind", object.Kind())
	}
	if _, ok := p.present["Lease"]; ok && !lease {
		errs = append(errs, p.remove(ctx, "Lease"))
	}
	err = errors.Join(errs...)
	note := ""
	if err != nil && !apierrors.IsConflict(err) {
		note = err.Error()
	}
	p.said(p.namespace, "ensure", corev1.EventTypeWarning, "ProxyNotCreated", "Apply", note)
	return err
}

// rescaled reports whether somebody gave the proxy another number of replicas, which the hash does not show.
func (p *pass) rescaled(object proxyobjects.Object) bool {
	return object.Kind() == "Deployment" && p.deployment != nil && p.deployment.Spec.Replicas != nil &&
		*p.deployment.Spec.Replicas != proxyobjects.Replicas(p.defaults())
}

// defaults reads the annotations of the Namespace, as ParseDefaults does; a bad value is reported there.
func (p *pass) defaults() contract.Defaults {
	defaults, err := contract.ParseDefaults(p.namespace.Annotations)
	note := ""
	if err != nil {
		note = err.Error()
	}
	p.said(p.namespace, "defaults", corev1.EventTypeWarning, "InvalidAnnotation", "ReadDefaults", note)
	return defaults
}

// remove deletes one of the proxy's objects, if it is there.
func (p *pass) remove(ctx context.Context, kind string) error {
	for _, object := range proxyobjects.Present(p.name) {
		if object.Kind != kind {
			continue
		}
		if err := p.Client.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
			if client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("delete %s %s/%s: %w", kind, p.name, object.Name, err)
			}
		}
	}
	return nil
}
