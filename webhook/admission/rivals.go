package admission

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/dynamic"

	"tpa.dev/tpa/proxy/contract"
)

// A rival is an object that has another controller change what TPA changes: a Service's selector or a target's replicas.
// Of what may be installed beside TPA these are known.
var (
	rollouts      = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
	canaries      = schema.GroupVersionResource{Group: "flagger.app", Version: "v1beta1", Resource: "canaries"}
	scaledObjects = schema.GroupVersionResource{Group: "keda.sh", Version: "v1alpha1", Resource: "scaledobjects"}
)

// RivalsByList looks for rivals in the Service's namespace. It lists them live, one request for each kind: they are
// looked for when a Service opts in, which is rare, and a watch would hold all of the cluster's. The API server answers
// 404 for a kind that is not installed, so that nothing has to be discovered.
func RivalsByList(objects dynamic.Interface, mapper meta.RESTMapper) func(context.Context, *corev1.Service, []contract.Target) (
	field.ErrorList, error,
) {
	return func(ctx context.Context, svc *corev1.Service, targets []contract.Target) (field.ErrorList, error) {
		kinds := []struct {
			resource schema.GroupVersionResource
			judge    func(*unstructured.Unstructured) (*field.Error, error)
		}{
			{rollouts, func(o *unstructured.Unstructured) (*field.Error, error) { return byRollout(svc, o), nil }},
			{canaries, func(o *unstructured.Unstructured) (*field.Error, error) { return byCanary(svc, o), nil }},
			{scaledObjects, func(o *unstructured.Unstructured) (*field.Error, error) {
				return byScaledObject(svc, targets, o, mapper)
			}},
		}
		found := make([]field.ErrorList, len(kinds))
		group, ctx := errgroup.WithContext(ctx)
		for i, kind := range kinds {
			group.Go(func() error {
				list, err := objects.Resource(kind.resource).Namespace(svc.Namespace).List(ctx, metav1.ListOptions{})
				if apierrors.IsNotFound(err) {
					return nil
				}
				if err != nil {
					return fmt.Errorf("list %s: %w", kind.resource.GroupResource(), err)
				}
				for n := range list.Items {
					problem, err := kind.judge(&list.Items[n])
					if err != nil {
						return err
					}
					if problem != nil {
						found[i] = append(found[i], problem)
					}
				}
				return nil
			})
		}
		err := group.Wait()
		return slices.Concat(found...), err
	}
}

// serviceFields are where a Rollout names the Services that it switches. It marks them with an annotation too, but later.
var serviceFields = [][]string{
	{"canary", "stableService"}, {"canary", "canaryService"},
	{"canary", "pingPong", "pingService"}, {"canary", "pingPong", "pongService"},
	{"blueGreen", "activeService"}, {"blueGreen", "previewService"},
}

func byRollout(svc *corev1.Service, rollout *unstructured.Unstructured) *field.Error {
	for _, path := range serviceFields {
		path = append([]string{"spec", "strategy"}, path...)
		if text(rollout, path...) == svc.Name && svc.Name != "" {
			return switched(svc, fmt.Sprintf("Argo Rollouts changes this Service's selector itself, as Rollout %q asks in %s",
				rollout.GetName(), field.NewPath(path[0], path[1:]...)))
		}
	}
	return nil
}

// byCanary knows the three Services of a Canary by their names: Flagger takes over those that it finds, and marks only
// those that it creates.
func byCanary(svc *corev1.Service, canary *unstructured.Unstructured) *field.Error {
	if text(canary, "spec", "targetRef", "kind") == "Service" {
		return nil // then it leaves Services alone
	}
	apex := text(canary, "spec", "service", "name")
	if apex == "" {
		apex = text(canary, "spec", "targetRef", "name")
	}
	if apex == "" || !slices.Contains([]string{apex, apex + "-primary", apex + "-canary"}, svc.Name) {
		return nil
	}
	return switched(svc, fmt.Sprintf("Flagger changes this Service's selector itself, as Canary %q asks", canary.GetName()))
}

func switched(svc *corev1.Service, why string) *field.Error {
	return field.Invalid(field.NewPath("metadata", "name"), svc.Name,
		why+": annotate a Service that it does not switch, or remove "+contract.TargetKey)
}

// byScaledObject finds a target that KEDA scales. A paused ScaledObject counts: it keeps the replicas where they are.
func byScaledObject(svc *corev1.Service, targets []contract.Target, scaled *unstructured.Unstructured, mapper meta.RESTMapper) (
	*field.Error, error,
) {
	ref := []string{"spec", "scaleTargetRef"}
	group, kind := "apps", "Deployment"
	if apiVersion := text(scaled, append(ref, "apiVersion")...); apiVersion != "" {
		group = schema.FromAPIVersionAndKind(apiVersion, "").Group
	}
	if s := text(scaled, append(ref, "kind")...); s != "" {
		kind = s
	}
	for _, target := range targets {
		if target.Name != text(scaled, append(ref, "name")...) || target.Group != group {
			continue
		}
		mapping, err := mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind})
		if meta.IsNoMatchError(err) {
			continue // KEDA does not find it either
		}
		if err != nil {
			return nil, fmt.Errorf("look up what ScaledObject %q scales: %w", scaled.GetName(), err)
		}
		if mapping.Resource.GroupResource() == target.GroupResource() {
			return field.Invalid(field.NewPath("metadata", "annotations").Key(contract.TargetKey), svc.Annotations[contract.TargetKey],
				fmt.Sprintf("KEDA scales %s, as ScaledObject %q asks, and would scale against TPA: delete that, write another target, "+
					"or remove %s", target, scaled.GetName(), contract.TargetKey)), nil
		}
	}
	return nil, nil
}

// text reads a string; empty where there is none.
func text(o *unstructured.Unstructured, path ...string) string {
	s, _, _ := unstructured.NestedString(o.Object, path...)
	return s
}
