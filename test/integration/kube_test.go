//go:build integration

package integration

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"

	"tpa.dev/tpa/proxy/kube"
	"tpa.dev/tpa/test/apiserver"
)

// napperCRD is a kind whose preferred version has no scale.
const napperCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: nappers.nap.tpa.dev}
spec:
  group: nap.tpa.dev
  names: {kind: Napper, plural: nappers}
  scope: Namespaced
  versions:
    - name: v2
      served: true
      storage: true
      schema: &any {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
    - name: v1
      served: true
      storage: false
      schema: *any
      subresources: {scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
---
apiVersion: nap.tpa.dev/v1
kind: Napper
metadata: {name: napper}
spec: {replicas: 1}
`

// proxyClient is a proxy's client, with a proxy's rights.
func (h home) proxyClient(t *testing.T) *kube.Client {
	t.Helper()
	proxy := h.user(t, "system:serviceaccount:"+h.name+":tpa-proxy", "system:serviceaccounts", "system:serviceaccounts:"+h.name)
	h.bringProxy(t, h.user(t, apiserver.Self, "system:serviceaccounts", "system:serviceaccounts:"+apiserver.Namespace))
	proxy.settle(t, proxyRights[0])
	c, err := kube.New(proxy.config)
	must(t, err)
	return c
}

// TestKubeScales: the scale of any kind is found, in whichever version it is.
func TestKubeScales(t *testing.T) {
	h := newHome(t, "kube-scales")
	c := h.proxyClient(t)
	crd := parse(t, napperCRD)
	must(t, server.Admin.Create(t.Context(), crd[0]))
	nappers := schema.GroupResource{Group: "nap.tpa.dev", Resource: "nappers"}
	crd[1].SetNamespace(h.name)
	must(t, wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		return server.Admin.Create(ctx, crd[1].DeepCopy()) == nil, nil
	}))

	for _, tt := range []struct {
		of             schema.GroupResource
		name, selector string
	}{
		{schema.GroupResource{Group: "apps", Resource: "deployments"}, "web", "app=web"},
		{schema.GroupResource{Group: "apps", Resource: "statefulsets"}, "db", "app=db"},
		{schema.GroupResource{Group: "test.tpa.dev", Resource: "dozers"}, "dozer", ""},
		{nappers, "napper", ""},
	} {
		scale, err := c.Scales.Get(t.Context(), h.name, tt.of, tt.name)
		if err != nil || scale.Spec.Replicas != 1 || scale.Status.Selector != tt.selector {
			t.Errorf("%s: %+v, %v", tt.of, scale, err)
			continue
		}
		stale := scale.DeepCopy()
		scale.Spec.Replicas = 0
		written, err := c.Scales.Update(t.Context(), tt.of, scale, "tpa")
		if err != nil || written.Spec.Replicas != 0 || written.ResourceVersion == stale.ResourceVersion {
			t.Errorf("%s: scaled to 0: %+v, %v", tt.of, written, err)
		}
		if _, err := c.Scales.Update(t.Context(), tt.of, stale, "tpa"); !apierrors.IsConflict(err) {
			t.Errorf("%s: scaled as it was before: %v, want a conflict", tt.of, err)
		}
		if _, err := c.Scales.Get(t.Context(), h.name, tt.of, "none"); !apierrors.IsNotFound(err) {
			t.Errorf("%s: the scale of none: %v", tt.of, err)
		}
	}
	for _, of := range []schema.GroupResource{
		{Group: "argoproj.io", Resource: "rollouts"}, {Group: "apps", Resource: "daemonsets"}, {Group: "apps", Resource: "cars"},
	} {
		if _, err := c.Scales.Get(t.Context(), h.name, of, "web"); !meta.IsNoMatchError(err) {
			t.Errorf("%s: %v, want that there is no such scale", of, err)
		}
	}
}

// TestKubeInformer: an informer has what it selects of its namespace, stripped, and tells of each change when that can be read.
func TestKubeInformer(t *testing.T) {
	h := newHome(t, "kube-informer")
	c := h.proxyClient(t)
	service := func(name, app string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: h.name, Name: name, Labels: map[string]string{"app": app}, Annotations: map[string]string{"big": "x"},
			},
			Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}
	}
	must(t, server.Admin.Create(t.Context(), service("a", "a")))
	changes := make(chan string, 100)
	var services kube.Informer[*corev1.Service]
	tell := func(what string, o any) {
		if lost, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = lost.Obj
		}
		svc := o.(*corev1.Service)
		stored, found := services.Get(h.name, svc.Name)
		if found != (what != "gone") || found && stored.ResourceVersion != svc.ResourceVersion {
			t.Errorf("%s %s, and what is kept is %v", what, svc.Name, stored)
		}
		changes <- what + " " + svc.Name
	}
	services = c.Services.Informer(h.name, kube.Watch[*corev1.Service]{
		Selector: "app in (a,b)",
		Strip:    func(svc *corev1.Service) *corev1.Service { svc.Annotations = nil; return svc },
		Handler: toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { tell("new", o) },
			UpdateFunc: func(_, o any) { tell("changed", o) },
			DeleteFunc: func(o any) { tell("gone", o) },
		},
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); services.Run(ctx) }()
	defer func() { stop(); <-ended }()
	if !toolscache.WaitFor(ctx, "", services.Synced()) {
		t.Fatal("not synced")
	}
	for _, o := range []*corev1.Service{service("b", "b"), service("c", "c")} {
		must(t, server.Admin.Create(t.Context(), o))
	}
	b := service("b", "b")
	b.Labels["more"] = "yes"
	must(t, server.Admin.Update(t.Context(), b))
	must(t, server.Admin.Delete(t.Context(), service("a", "a")))
	for _, want := range []string{"new a", "new b", "changed b", "gone a"} {
		select {
		case got := <-changes:
			if got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("nothing, want %s", want)
		}
	}
	list := services.List()
	if len(list) != 1 || list[0].Name != "b" || list[0].ManagedFields != nil || list[0].Annotations != nil {
		t.Errorf("kept %v, want b without annotations and managed fields", list)
	}
}
