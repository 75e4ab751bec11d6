package rewrite

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
)

const (
	update = metav1.ManagedFieldsOperationUpdate
	apply  = metav1.ManagedFieldsOperationApply

	// What an entry may own, in the API server's own form.
	allOfIt   = `{"f:metadata":{"f:labels":{"f:team":{}}},"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{},"f:targetPort":{}},"k:{\"port\":81,\"protocol\":\"TCP\"}":{".":{},"f:port":{},"f:targetPort":{}},"k:{\"port\":8080,\"protocol\":\"TCP\"}":{".":{},"f:port":{},"f:targetPort":{}}},"f:selector":{}}}`
	restOfIt  = `{"f:metadata":{"f:labels":{"f:team":{}}},"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}},"k:{\"port\":81,\"protocol\":\"TCP\"}":{".":{},"f:port":{}},"k:{\"port\":8080,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}}`
	selector  = `{"f:spec":{"f:selector":{}}}`
	tpasNotes = `{"f:metadata":{"f:annotations":{"f:tpa.dev/phase":{},"f:tpa.dev/ports":{}}}}`
	label     = `{"f:metadata":{"f:labels":{"f:team":{}}}}`
)

// entry is owned since some second.
func entry(manager string, operation metav1.ManagedFieldsOperationType, second int64, fields string) metav1.ManagedFieldsEntry {
	since := metav1.NewTime(time.Unix(second, 0).UTC())
	return metav1.ManagedFieldsEntry{
		Manager: manager, Operation: operation, APIVersion: "v1", Time: &since, FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(fields),
	}
}

type entries []metav1.ManagedFieldsEntry

// TestOwnersOfNothingNew: a request that comes to nothing changes no owner, and one that does is left alone.
func TestOwnersOfNothingNew(t *testing.T) {
	tpa := entry("tpa", update, 2, tpasNotes)
	helm := entry("helm", update, 1, allOfIt)
	argo := entry("argocd-controller", apply, 1, allOfIt)
	nothing := func(*corev1.Service) {}
	again := func(svc *corev1.Service) { svc.Spec = *users().Spec.DeepCopy() }
	for name, tt := range map[string]struct {
		old, sent entries
		edit      func(*corev1.Service)
		kept      bool
	}{
		"Helm sends the chart again": {
			entries{helm, tpa}, entries{tpa, entry("helm", update, 9, allOfIt)}, again, true,
		},
		"kubectl patch takes the selector that it sends again": {
			entries{argo, tpa}, entries{entry("argocd-controller", apply, 1, restOfIt), tpa, entry("kubectl-patch", update, 9, selector)}, again, true,
		},
		"kubectl replace sends the manifest without TPA's annotations": {
			entries{argo, tpa}, entries{argo, entry("kubectl-replace", update, 9, selector)},
			func(svc *corev1.Service) {
				again(svc)
				svc.UID, svc.Spec.ClusterIP, svc.Labels, svc.Annotations = "", "", nil, users().Annotations
			}, true,
		},
		"the same, while Pending": {
			entries{helm, tpa}, entries{helm},
			func(svc *corev1.Service) { svc.Labels, svc.Annotations = nil, users().Annotations }, true,
		},
		"the label is changed, too": {
			entries{helm, tpa}, entries{tpa, entry("helm", update, 9, allOfIt)},
			func(svc *corev1.Service) { again(svc); svc.Labels["team"] = "x" }, false,
		},
		"the selector is changed": {
			entries{helm, tpa}, entries{tpa, entry("helm", update, 9, allOfIt)},
			func(svc *corev1.Service) { svc.Spec.Selector["tier"] = "b" }, false,
		},
		"a second manager applies the same": {
			entries{argo, tpa}, entries{argo, entry("kubectl", apply, 9, selector), tpa}, again, false,
		},
		"a manager gives a shared field up": {
			entries{argo, helm, tpa}, entries{entry("argocd-controller", apply, 9, label), helm, tpa}, nothing, false,
		},
		"client-side apply becomes server-side apply": {
			entries{entry("kubectl", apply, 1, selector), entry(clientSideApply, update, 1, restOfIt), tpa},
			entries{entry("kubectl", apply, 1, restOfIt), tpa}, nothing, false,
		},
		"the last owner is taken off by hand": {entries{helm, tpa}, entries{tpa}, nothing, false},
	} {
		t.Run(name, func(t *testing.T) {
			old := edited(active().Obj(), func(svc *corev1.Service) {
				svc.ManagedFields, svc.UID, svc.Spec.ClusterIP = tt.old, "1", "10.0.0.1"
			})
			after, _ := admit(t, Request{Old: old, New: edited(old, func(svc *corev1.Service) {
				tt.edit(svc)
				svc.ManagedFields = tt.sent
			})})
			want := tt.sent
			if tt.kept {
				want = tt.old
			}
			if diff := cmp.Diff(want, entries(after.ManagedFields)); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOwnersOfWhatMeansTheSame: they stay the owners while the same request changes something else.
func TestOwnersOfWhatMeansTheSame(t *testing.T) {
	argo := entry("argocd-controller", apply, 1, allOfIt)
	robbed := entry("argocd-controller", apply, 1, restOfIt)
	byHand := entry("kubectl-patch", update, 1, selector)
	relabel := func(svc *corev1.Service) { svc.Spec = *users().Spec.DeepCopy(); svc.Labels["team"] = "x" }
	reselect := func(svc *corev1.Service) { svc.Spec.Selector["tier"] = "b" }
	for name, tt := range map[string]struct {
		edit            func(*corev1.Service)
		old, sent, want entries
	}{
		"somebody replaces it and changes a label": {
			relabel, entries{argo}, entries{robbed, entry("kubectl-replace", update, 9, allOfIt)},
			entries{argo, entry("kubectl-replace", update, 9, restOfIt)},
		},
		"the owner had nothing else": {
			relabel, entries{byHand}, entries{entry("kubectl-replace", update, 9, allOfIt)},
			entries{entry("kubectl-replace", update, 9, restOfIt), byHand},
		},
		"somebody takes no more than the selector": {
			relabel, entries{argo}, entries{robbed, entry("x", update, 9, label), entry("kubectl-patch", update, 9, selector)},
			entries{argo, entry("x", update, 9, label)},
		},
		"somebody changes the selector": {
			reselect, entries{argo}, entries{robbed, entry("kubectl-patch", update, 9, selector)},
			entries{robbed, entry("kubectl-patch", update, 9, selector)},
		},
		"a second manager applies it": {
			relabel, entries{argo}, entries{robbed, entry("kubectl", apply, 9, allOfIt)},
			entries{robbed, entry("kubectl", apply, 9, allOfIt)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			old := edited(active().Obj(), func(svc *corev1.Service) { svc.ManagedFields = tt.old })
			after, _ := admit(t, Request{Old: old, New: edited(old, func(svc *corev1.Service) {
				tt.edit(svc)
				svc.ManagedFields = tt.sent
			})})
			if diff := cmp.Diff(tt.want, entries(after.ManagedFields)); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOwnersOfRewrittenFields: client-side apply owns none of them.
func TestOwnersOfRewrittenFields(t *testing.T) {
	pending, _ := admit(t, Request{New: users().Obj()})
	pending = committed(pending)
	activate := func(svc *corev1.Service) {
		phase(contract.Active)(svc)
		set(contract.PortsKey, "80:20001,81:20002")(svc)
	}
	for name, tt := range map[string]struct {
		edit       func(*corev1.Service)
		have, want entries
	}{
		"Pending":        {set("example.com/note", "x"), entries{entry(clientSideApply, update, 1, allOfIt)}, entries{entry(clientSideApply, update, 1, allOfIt)}},
		"Active":         {activate, entries{entry(clientSideApply, update, 1, allOfIt)}, entries{entry(clientSideApply, update, 1, restOfIt)}},
		"nothing else":   {activate, entries{entry(clientSideApply, update, 1, selector), entry("x", update, 1, label)}, entries{entry("x", update, 1, label)}},
		"nothing of it":  {activate, entries{entry(clientSideApply, update, 1, label)}, entries{entry(clientSideApply, update, 1, label)}},
		"unreadable":     {activate, entries{entry(clientSideApply, update, 1, `{"spec":1}`)}, entries{entry(clientSideApply, update, 1, `{"spec":1}`)}},
		"somebody else":  {activate, entries{entry("kubectl-edit", update, 1, allOfIt)}, entries{entry("kubectl-edit", update, 1, allOfIt)}},
		"a server-side":  {activate, entries{entry(clientSideApply, apply, 1, allOfIt)}, entries{entry(clientSideApply, apply, 1, allOfIt)}},
		"no owner noted": {activate, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			old := edited(pending, func(svc *corev1.Service) { svc.ManagedFields = tt.have })
			after, _ := admit(t, Request{Old: old, New: edited(old, tt.edit), FromTPA: true})
			if diff := cmp.Diff(tt.want, entries(after.ManagedFields)); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
		})
	}
}
