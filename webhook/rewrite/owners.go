package rewrite

import (
	"bytes"
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"tpa.dev/tpa/proxy/contract"
)

// clientSideApply is the manager of `kubectl apply` without --server-side.
const clientSideApply = "kubectl-client-side-apply"

// owners are the managedFields to store. The API server notes who changed which field before it asks us, and by what is
// live: whoever sends the user's own selector again seems to have changed TPA's, and takes it from its owner.
//
//   - What means the same as before keeps its owners.
//   - A request that comes to nothing leaves them as they were, times included. Otherwise whoever applies a Service again
//     and again would write it each time.
//   - Client-side apply owns no field that TPA has rewritten. The next server-side apply would conflict with it over a
//     value that neither of them wrote. It loses nothing: it goes by its own annotation, last-applied.
func owners(req Request, want state, phase contract.Phase) []metav1.ManagedFieldsEntry {
	now := req.New.ManagedFields
	if phase.Rewritten() {
		if req.Old != nil && req.Old.Annotations[contract.OriginalKey] == want.annotations[contract.OriginalKey] {
			now = keepOwners(req.Old.ManagedFields, now)
		}
		now = withoutClientSideApply(now)
	}
	if req.Old == nil || phase == "" || equality.Semantic.DeepEqual(now, req.Old.ManagedFields) {
		return now
	}
	if sameOwners(req.Old.ManagedFields, now) && want.equals(req.Old, req.New) {
		return req.Old.ManagedFields
	}
	return now
}

// keepOwners gives the fields that TPA rewrites back to their owners if an updater has taken them. An apply names its
// fields, and is left alone.
func keepOwners(old, now []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	before := func(e metav1.ManagedFieldsEntry) *fieldpath.Set { return rewrittenOf(fieldsOf(find(old, e))) }
	taken := slices.ContainsFunc(now, func(e metav1.ManagedFieldsEntry) bool {
		return e.Operation == metav1.ManagedFieldsOperationUpdate && !sameFields(e, find(old, e)) &&
			!rewrittenOf(fieldsOf(e)).Difference(before(e)).Empty()
	})
	if !taken {
		return now
	}
	var kept []metav1.ManagedFieldsEntry
	for _, e := range now {
		fields := fieldsOf(e)
		kept = appendOwner(kept, e, fields.Difference(rewrittenOf(fields)).Union(before(e)))
	}
	for _, o := range old {
		if find(now, o).Manager == "" {
			kept = appendOwner(kept, o, before(o))
		}
	}
	return kept
}

// withoutClientSideApply takes the fields that TPA rewrites from client-side apply.
func withoutClientSideApply(entries []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	var rest []metav1.ManagedFieldsEntry
	for i, e := range entries {
		if e.Manager != clientSideApply || e.Operation != metav1.ManagedFieldsOperationUpdate || e.Subresource != "" {
			continue
		}
		fields := fieldsOf(e)
		if rewritten := rewrittenOf(fields); !rewritten.Empty() {
			rest = appendOwner(slices.Clone(entries[:i]), e, fields.Difference(rewritten))
			return append(rest, entries[i+1:]...)
		}
	}
	return entries
}

// appendOwner appends an entry with these fields; one without any owns nothing.
func appendOwner(entries []metav1.ManagedFieldsEntry, e metav1.ManagedFieldsEntry, fields *fieldpath.Set) []metav1.ManagedFieldsEntry {
	if fields.Empty() {
		return entries
	}
	if text, err := fields.ToJSON(); err == nil {
		e.FieldsV1 = metav1.NewFieldsV1(string(text))
	}
	return append(entries, e)
}

// rewrittenOf are the fields of a set that TPA rewrites.
func rewrittenOf(fields *fieldpath.Set) *fieldpath.Set {
	rewritten := &fieldpath.Set{}
	for path := range fields.All() {
		if isRewritten(path) {
			rewritten.Insert(path.Copy())
		}
	}
	return rewritten
}

// isRewritten reports whether a path is spec.selector or spec.ports[…].targetPort.
func isRewritten(path fieldpath.Path) bool {
	is := func(i int, name string) bool { return path[i].FieldName != nil && *path[i].FieldName == name }
	switch {
	case len(path) < 2 || !is(0, "spec"):
		return false
	case is(1, "selector"):
		return true
	}
	return len(path) == 4 && is(1, "ports") && is(3, "targetPort")
}

// sameOwners reports whether nothing but times and their order differs. TPA's own entry goes when somebody sends a Service
// without it, and the webhook puts back what it owned.
func sameOwners(old, now []metav1.ManagedFieldsEntry) bool {
	covers := func(a, b []metav1.ManagedFieldsEntry) bool {
		return !slices.ContainsFunc(b, func(e metav1.ManagedFieldsEntry) bool {
			return e.Manager != contract.FieldManager && !sameFields(e, find(a, e))
		})
	}
	return covers(old, now) && covers(now, old)
}

// sameFields compares the text of two entries, of which the API server and we write but one form.
func sameFields(a, b metav1.ManagedFieldsEntry) bool {
	return a.FieldsV1 != nil && b.FieldsV1 != nil && a.FieldsV1.Equal(*b.FieldsV1)
}

// find returns the entry of the same manager and operation; the zero value if there is none.
func find(entries []metav1.ManagedFieldsEntry, like metav1.ManagedFieldsEntry) metav1.ManagedFieldsEntry {
	for _, e := range entries {
		if e.Manager == like.Manager && e.Operation == like.Operation &&
			e.APIVersion == like.APIVersion && e.Subresource == like.Subresource {
			return e
		}
	}
	return metav1.ManagedFieldsEntry{}
}

// fieldsOf is the set of an entry; an unreadable one, which the API server does not store, owns nothing.
func fieldsOf(entry metav1.ManagedFieldsEntry) *fieldpath.Set {
	fields := &fieldpath.Set{}
	if entry.FieldsV1 == nil || fields.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())) != nil {
		return &fieldpath.Set{}
	}
	return fields
}

// equals reports whether a request brings a Service to where it was, but for who owns its fields. What a replacing
// client leaves out and the API server keeps is no change.
func (s state) equals(old, sent *corev1.Service) bool {
	after := sent.DeepCopy()
	s.apply(after)
	after.ManagedFields, after.ResourceVersion = old.ManagedFields, old.ResourceVersion
	after.UID, after.CreationTimestamp, after.Generation = old.UID, old.CreationTimestamp, old.Generation
	after.Status = old.Status
	spec := &after.Spec
	spec.ClusterIP = cmp.Or(spec.ClusterIP, old.Spec.ClusterIP)
	spec.HealthCheckNodePort = cmp.Or(spec.HealthCheckNodePort, old.Spec.HealthCheckNodePort)
	spec.IPFamilyPolicy = cmp.Or(spec.IPFamilyPolicy, old.Spec.IPFamilyPolicy)
	if len(spec.ClusterIPs) == 0 {
		spec.ClusterIPs = old.Spec.ClusterIPs
	}
	if len(spec.IPFamilies) == 0 {
		spec.IPFamilies = old.Spec.IPFamilies
	}
	for i := range spec.Ports {
		if i < len(old.Spec.Ports) {
			spec.Ports[i].NodePort = cmp.Or(spec.Ports[i].NodePort, old.Spec.Ports[i].NodePort)
		}
	}
	return equality.Semantic.DeepEqual(old, after)
}
