package contract

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxTargetName and maxTargetResource (with the group) keep "tpa-<resource>-<name>" within the 253 characters of an object
// name.
const (
	maxTargetName     = 150
	maxTargetResource = 98
)

// Target is a workload with a /scale subresource, in the namespace of its Service. It is comparable; two spellings of
// one workload give the same Target.
type Target struct {
	// Resource is the plural: deployments, statefulsets, rollouts.
	Resource string
	// Group is the API group: apps, argoproj.io.
	Group string
	Name  string
}

// shortKinds are the spellings that need no group.
var shortKinds = map[string]string{
	"deployment": "deployments", "deployments": "deployments", "deploy": "deployments",
	"statefulset": "statefulsets", "statefulsets": "statefulsets", "sts": "statefulsets",
	"replicaset": "replicasets", "replicasets": "replicasets", "rs": "replicasets",
}

const targetAccepted = "web, deployment/web, statefulset/db, or RESOURCE.GROUP/NAME such as rollouts.argoproj.io/web"

// ParseTarget reads one target: web, deployment/web, statefulset/db or rollouts.argoproj.io/web.
func ParseTarget(s string) (Target, error) {
	resource, name, found := strings.Cut(strings.TrimSpace(s), "/")
	if !found {
		resource, name = "deployment", resource
	}
	if errs := validation.IsDNS1123Subdomain(name); len(errs) > 0 || len(name) > maxTargetName {
		return Target{}, fmt.Errorf("%q is not the name of a workload", name)
	}
	if plural, ok := shortKinds[strings.ToLower(resource)]; ok {
		return Target{Resource: plural, Group: "apps", Name: name}, nil
	}
	kind := resource
	resource, group, found := strings.Cut(kind, ".")
	if !found || len(kind) > maxTargetResource ||
		len(validation.IsDNS1123Label(resource)) > 0 || len(validation.IsDNS1123Subdomain(group)) > 0 {
		return Target{}, fmt.Errorf("%q is not a kind of workload", strings.TrimSuffix(kind, "."))
	}
	if group == "apps" {
		// Nothing else in this group scales, and its names without the group must read back and leave PodLease alone.
		plural, ok := shortKinds[resource]
		if !ok {
			return Target{}, fmt.Errorf("%q is not a kind of workload that scales", kind)
		}
		resource = plural
	}
	return Target{Resource: resource, Group: group, Name: name}, nil
}

// String is the target as people write it; ParseTarget reads it back.
func (t Target) String() string {
	if t.Group == "apps" {
		return strings.TrimSuffix(t.Resource, "s") + "/" + t.Name
	}
	return t.GroupResource().String() + "/" + t.Name
}

// GroupResource is the workload's resource, as the scale client takes it.
func (t Target) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: t.Group, Resource: t.Resource}
}

// Lease names the Lease that holds the target's sleep state.
func (t Target) Lease() string {
	if t.Group == "apps" {
		return "tpa-" + t.Resource + "-" + t.Name
	}
	return "tpa-" + t.GroupResource().String() + "-" + t.Name
}
