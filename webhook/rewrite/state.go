package rewrite

import (
	"fmt"
	"maps"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

// ownAnnotations are the annotations that TPA writes on a Service.
var ownAnnotations = [...]string{contract.OriginalKey, contract.PhaseKey, contract.PortsKey}

// state is all that TPA decides about a Service; whatever else it holds is not TPA's to touch.
type state struct {
	selector    map[string]string
	targetPorts []intstr.IntOrString // one for each port
	managed     bool                 // the label
	annotations map[string]string    // of ownAnnotations; a missing one is taken off
	owners      []metav1.ManagedFieldsEntry
}

// labels returns TPA's labels as they should be.
func (s state) labels() map[string]string {
	if s.managed {
		return map[string]string{contract.ManagedLabel: contract.ManagedTrue}
	}
	return nil
}

// patch returns the operations that bring a Service into the state.
func (s state) patch(svc *corev1.Service) []jsonpatch.Operation {
	ops := patchMap(nil, "/metadata/labels", svc.Labels, s.labels(), contract.ManagedLabel)
	ops = patchMap(ops, "/metadata/annotations", svc.Annotations, s.annotations, ownAnnotations[:]...)
	if !maps.Equal(svc.Spec.Selector, s.selector) {
		ops = append(ops, jsonpatch.NewOperation("add", "/spec/selector", s.selector))
	}
	for i, port := range svc.Spec.Ports {
		if port.TargetPort != s.targetPorts[i] {
			ops = append(ops, jsonpatch.NewOperation("add", fmt.Sprintf("/spec/ports/%d/targetPort", i), s.targetPorts[i]))
		}
	}
	if !equality.Semantic.DeepEqual(svc.ManagedFields, s.owners) {
		ops = append(ops, jsonpatch.NewOperation("add", "/metadata/managedFields", s.owners))
	}
	return ops
}

// patchMap appends the operations that make the given keys of a map what they should be. An empty map is absent from
// the object that the API server patches.
func patchMap(ops []jsonpatch.Operation, path string, have, want map[string]string, keys ...string) []jsonpatch.Operation {
	if len(have) == 0 {
		if len(want) > 0 {
			ops = append(ops, jsonpatch.NewOperation("add", path, want))
		}
		return ops
	}
	for _, key := range keys {
		old, has := have[key]
		value, wanted := want[key]
		member := path + "/" + strings.ReplaceAll(key, "/", "~1")
		switch {
		case wanted && (!has || old != value):
			ops = append(ops, jsonpatch.NewOperation("add", member, value))
		case has && !wanted:
			ops = append(ops, jsonpatch.NewOperation("remove", member, nil))
		}
	}
	return ops
}

// apply brings a Service into the state.
func (s state) apply(svc *corev1.Service) {
	svc.Labels = applyMap(svc.Labels, s.labels(), contract.ManagedLabel)
	svc.Annotations = applyMap(svc.Annotations, s.annotations, ownAnnotations[:]...)
	svc.Spec.Selector = maps.Clone(s.selector)
	for i := range svc.Spec.Ports {
		svc.Spec.Ports[i].TargetPort = s.targetPorts[i]
	}
	svc.ManagedFields = s.owners
}

func applyMap(have, want map[string]string, keys ...string) map[string]string {
	for _, key := range keys {
		delete(have, key)
	}
	if have == nil && len(want) > 0 {
		have = make(map[string]string, len(want))
	}
	maps.Copy(have, want)
	return have
}

// putBack tells a user which of TPA's own keys the request changed in vain.
func (m memory) putBack(req Request, want state) []string {
	if req.FromTPA || m.phase == "" && isMarked(req.New.Spec.Selector) { // the latter has its own warning
		return nil
	}
	old := &corev1.Service{}
	if req.Old != nil {
		old = req.Old
	}
	var keys []string
	vain := func(key string, before, sent, stored map[string]string) {
		was, had := before[key]
		value, has := sent[key]
		becomes, kept := stored[key]
		if (was != value || had != has) && (value != becomes || has != kept) {
			keys = append(keys, key)
		}
	}
	vain(contract.ManagedLabel, old.Labels, req.New.Labels, want.labels())
	for _, key := range ownAnnotations {
		vain(key, old.Annotations, req.New.Annotations, want.annotations)
	}
	if len(keys) == 0 {
		return nil
	}
	return []string{strings.Join(keys, ", ") + ": only TPA itself changes this; the request's value is not taken"}
}
