package reader

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	k8stesting "k8s.io/client-go/testing"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/kube"
	"tpa.dev/tpa/proxy/sleep"
)

// forbidden is what an API server says to who has no right.
func forbidden() *apierrors.StatusError {
	return apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("no rule"))
}

// newReader reads some objects, and no scale.
func newReader(t *testing.T, objects ...runtime.Object) (Reader, *fake.Clientset) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(forbidden().Status())
	}))
	t.Cleanup(server.Close)
	scales, err := kube.New(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	client := fake.NewClientset(objects...)
	return Reader{Client: client, Scales: scales.Scales}, client
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// shop has a Service that is observed and has not been used for an hour, with a pod.
func shop() []runtime.Object {
	svc := &corev1.Service{ObjectMeta: named("shop", "web"), Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}},
	}}
	svc.Labels = map[string]string{contract.ManagedLabel: contract.ManagedTrue}
	svc.Annotations = map[string]string{
		contract.TargetKey: "web", contract.ModeKey: "observe", contract.PhaseKey: string(contract.Active), contract.PortsKey: "80:20001",
		contract.OriginalKey:               contract.Original{Selector: svc.Spec.Selector}.String(),
		corev1.LastAppliedConfigAnnotation: "a manifest",
	}
	svc.Spec.Selector = contract.ProxySelector()
	pod := &corev1.Pod{ObjectMeta: named("shop", "web-0"), Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "web", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "secret"}},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("1Gi"),
		}},
	}}}}
	pod.Labels = map[string]string{"app": "web"}
	pod.Status.PodIP, pod.Status.PodIPs = "192.0.2.1", []corev1.PodIP{{IP: "192.0.2.1"}}
	pod.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionTrue},
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes are available"},
	}
	target := contract.Target{Resource: "deployments", Group: "apps", Name: "web"}
	lease := &coordinationv1.Lease{ObjectMeta: named("shop", target.Lease())}
	lease.Labels = map[string]string{contract.LeaseLabel: contract.LeaseTarget}
	lease.Annotations = map[string]string{
		contract.TargetKey: target.String(),
		contract.StateKey:  sleep.State{Phase: sleep.Awake, Since: time.Now().Add(-time.Hour)}.String(),
	}
	return []runtime.Object{
		svc, pod, lease,
		&corev1.Service{ObjectMeta: named("other", "plain")}, &corev1.Pod{ObjectMeta: named("other", "plain-0")},
		&corev1.Namespace{ObjectMeta: named("", "shop")}, &corev1.Namespace{ObjectMeta: named("", "other")},
	}
}

// TestRead: what a status needs of a pod is kept, what it requests and what it says among it, and nothing more; a namespace
// that TPA has nothing to do with is left out.
func TestRead(t *testing.T) {
	reader, _ := newReader(t, shop()...)
	all, err := reader.Read(t.Context(), "")
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	n := all[0]
	if len(n.Pods) != 1 || n.Meta == nil || !n.ProxyKnown || len(n.Leases) != 1 || len(n.Services) != 1 {
		t.Fatalf("%+v", n)
	}
	if _, kept := n.Services[0].Annotations[corev1.LastAppliedConfigAnnotation]; kept {
		t.Error("the manifest that was applied is kept")
	}
	if len(n.Pods[0].Spec.Containers) != 1 || len(n.Pods[0].Spec.Containers[0].Env) > 0 {
		t.Errorf("kept of the pod: %+v", n.Pods[0].Spec)
	}
	if c := n.Pods[0].Status.Conditions; len(c) != 2 || c[1].Message != "0/3 nodes are available" {
		t.Errorf("kept of its conditions: %+v", c)
	}
	service := n.List()[0]
	if service.History == nil {
		t.Fatal("it would be asleep since 50 minutes, and has no history")
	}
	// 50 minutes, and how long this test takes.
	saved := service.History.Observed.Saved
	if saved.Replicas < 3000 || saved.Replicas > 3600 || saved.CPU != saved.Replicas/2 || saved.Memory != saved.Replicas*(1<<30) {
		t.Errorf("a pod that requests half a core and 1 GiB would have saved %+v", saved)
	}
}

// TestMayNotRead: what may not be read is not known, other than what there is none of; without Services there is an error.
func TestMayNotRead(t *testing.T) {
	for _, tt := range []struct {
		refused string
		unread  []string
		fails   bool
	}{
		{refused: "none", unread: []string{"deployments.apps/scale web", "events.events.k8s.io"}},
		{refused: "pods", unread: []string{"deployments.apps/scale web", "events.events.k8s.io", "pods"}},
		{refused: "leases", unread: []string{"deployments.apps/scale web", "events.events.k8s.io", "leases.coordination.k8s.io"}},
		{refused: "deployments", unread: []string{"deployments.apps", "deployments.apps/scale web", "events.events.k8s.io"}},
		{refused: "namespaces", unread: []string{"deployments.apps/scale web", "events.events.k8s.io", "namespaces"}},
		{refused: "services", fails: true},
	} {
		for _, namespace := range []string{"", "shop"} {
			reader, client := newReader(t, shop()...)
			client.PrependReactor("*", tt.refused, func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, forbidden() })
			all, err := reader.Read(t.Context(), namespace)
			if tt.fails {
				if !apierrors.IsForbidden(err) {
					t.Errorf("%s of %q: %v", tt.refused, namespace, err)
				}
				continue
			}
			if err != nil || len(all) != 1 {
				t.Errorf("%s of %q: %v, %v", tt.refused, namespace, all, err)
				continue
			}
			e, _ := all[0].Explain("web")
			if diff := cmp.Diff(tt.unread, e.Unread); diff != "" {
				t.Errorf("%s of %q (-want +got):\n%s", tt.refused, namespace, diff)
			}
		}
	}
}

// TestReadFails: an API server in trouble is an error, and no namespace without pods.
func TestReadFails(t *testing.T) {
	for _, resource := range []string{"services", "pods", "leases", "deployments", "namespaces"} {
		reader, client := newReader(t, shop()...)
		trouble := apierrors.NewInternalError(errors.New("trouble"))
		client.PrependReactor("list", resource, func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, trouble })
		if all, err := reader.Read(t.Context(), ""); !apierrors.IsInternalError(err) || all != nil {
			t.Errorf("%s: %v, %v", resource, all, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	reader, client := newReader(t, shop()...)
	client.PrependReactor("list", "pods", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, ctx.Err() })
	if _, err := reader.Read(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
}

// TestPages: a list that comes in pages is read to its end.
func TestPages(t *testing.T) {
	reader, client := newReader(t, shop()...)
	var asked []string
	client.PrependReactor("list", "services", func(action k8stesting.Action) (bool, runtime.Object, error) {
		options := action.(k8stesting.ListActionImpl).ListOptions
		asked = append(asked, options.Continue)
		list := &corev1.ServiceList{Items: []corev1.Service{*shop()[0].(*corev1.Service)}}
		if list.Items[0].Name = "page-" + options.Continue; options.Continue == "" {
			list.Continue = "2"
		}
		return true, list, nil
	})
	all, err := reader.Read(t.Context(), "")
	if err != nil || len(all) != 1 || len(all[0].Services) != 2 || !slices.Equal(asked, []string{"", "2"}) {
		t.Errorf("%v, %v, asked for pages %q", all, err, asked)
	}
}
