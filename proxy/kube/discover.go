package kube

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// scaleKind is how the scales of a kind of workload are spoken to.
type scaleKind struct {
	version string
	// name is the workload's own kind, such as Deployment; empty if discovery does not list it.
	name string
	// body is the apiVersion of the scale itself: autoscaling/v1 everywhere but at OpenShift's DeploymentConfigs.
	body schema.GroupVersion
}

// kind returns how a kind's scales are spoken to.
func (s *Scales) kind(ctx context.Context, of schema.GroupResource) (scaleKind, error) {
	s.mu.Lock()
	kind, known := s.kinds[of]
	s.mu.Unlock()
	if known {
		return kind, nil
	}
	kind, err := s.discover(ctx, of)
	if err != nil {
		return scaleKind{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[of] = kind
	return kind, nil
}

// Kind returns what a kind of workload is called, as in an ObjectReference, if its scale has been asked for before.
func (s *Scales) Kind(of schema.GroupResource) (schema.GroupVersionKind, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, known := s.kinds[of]
	return schema.GroupVersionKind{Group: of.Group, Version: kind.version, Kind: kind.name}, known && kind.name != ""
}

// nameOf is the kind of a resource among some.
func nameOf(resource string, all []metav1.APIResource) string {
	for _, r := range all {
		if r.Name == resource {
			return r.Kind
		}
	}
	return ""
}

// discover looks for the first version of a group, the preferred one before all others, in which the kind has a scale.
func (s *Scales) discover(ctx context.Context, of schema.GroupResource) (scaleKind, error) {
	none := &meta.NoResourceMatchError{PartialResource: of.WithVersion("")}
	var group metav1.APIGroup
	err := s.rest.Get().AbsPath("/apis", of.Group).Do(ctx).Into(&group)
	if apierrors.IsNotFound(err) {
		return scaleKind{}, none
	}
	if err != nil {
		return scaleKind{}, fmt.Errorf("versions of group %s: %w", of.Group, err)
	}
	versions := append([]metav1.GroupVersionForDiscovery{group.PreferredVersion}, group.Versions...)
	for _, v := range versions {
		var list metav1.APIResourceList
		if err := s.rest.Get().AbsPath("/apis", of.Group, v.Version).Do(ctx).Into(&list); err != nil {
			return scaleKind{}, fmt.Errorf("kinds of %s: %w", v.GroupVersion, err)
		}
		at := slices.IndexFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == of.Resource+"/scale" })
		if at < 0 {
			continue
		}
		found := list.APIResources[at]
		kind := scaleKind{v.Version, nameOf(of.Resource, list.APIResources), schema.GroupVersion{Group: found.Group, Version: found.Version}}
		if kind.body.Empty() {
			kind.body = schema.GroupVersion{Group: of.Group, Version: v.Version}
		}
		return kind, nil
	}
	return scaleKind{}, none
}
