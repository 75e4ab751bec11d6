//go:build integration

package integration

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/proxy/target"
	"tpa.dev/tpa/test/apiserver"
)

func (s *stage) create(o client.Object) {
	s.t.Helper()
	must(s.t, server.Admin.Create(s.t.Context(), o))
}

// patch is an administrator's merge patch.
func (s *stage) patch(o client.Object, patch string, args ...any) {
	s.t.Helper()
	must(s.t, server.Admin.Patch(s.t.Context(), o, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, patch, args...))))
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// open creates the namespace.
func (s *stage) open(optedIn bool) {
	labels := map[string]string{stageLabel: s.name}
	if optedIn {
		labels[contract.InjectLabel] = contract.InjectEnabled
	}
	s.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.name, Labels: labels}})
}

// label labels a Namespace.
func (s *stage) label(namespace, key, value string) {
	s.patch(&corev1.Namespace{ObjectMeta: named("", namespace)}, `{"metadata":{"labels":{%q:%q}}}`, key, value)
}

// annotate sets a Service's target: a string in quotes, or null.
func (s *stage) annotate(name, target string) {
	s.patch(&corev1.Service{ObjectMeta: named(s.name, name)}, `{"metadata":{"annotations":{%q:%s}}}`, contract.TargetKey, target)
}

// proxiesFail takes the readiness of the namespace's proxies away, or gives it back for null.
func (s *stage) proxiesFail(fail string) {
	s.patch(&corev1.Namespace{ObjectMeta: named("", s.name)}, `{"metadata":{"annotations":{%q:%s}}}`, apiserver.FailKey, fail)
}

// upgrade starts the controller with another image of the proxy.
func (s *stage) upgrade(image string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.ProxyImage = image
	s.current.kill()
	s.restarts-- // that one is not for a fault
}

// app creates a Deployment that runs, and its Service.
func (s *stage) app(name string, annotations map[string]string) {
	app := map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: named(s.name, name)}
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: app}
	d.Spec.Template.Labels = app
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: name, Image: name}}
	s.create(d)
	// Before there is a Service that could become Active: only one that finds a backend then has time to settle, and a Lease.
	s.eventually(func() bool {
		var d appsv1.Deployment
		return s.seen.Get(s.t.Context(), client.ObjectKey{Namespace: s.name, Name: name}, &d) == nil && d.Status.ReadyReplicas == 1
	}, func() string { return "a ready " + name })
	svc := &corev1.Service{ObjectMeta: named(s.name, name), Spec: corev1.ServiceSpec{
		Selector: app, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}}
	svc.Annotations = annotations
	s.create(svc)
}

// active creates apps whose Services are Active.
func (s *stage) active(names ...string) {
	s.open(true)
	for _, name := range names {
		s.app(name, map[string]string{contract.TargetKey: name})
	}
	for _, name := range names {
		s.phase(name, contract.Active)
	}
}

// phase waits for a Service's phase.
func (s *stage) phase(name string, want contract.Phase) {
	s.t.Helper()
	s.eventually(func() bool {
		var svc corev1.Service
		err := s.seen.Get(s.t.Context(), client.ObjectKey{Namespace: s.name, Name: name}, &svc)
		return err == nil && svc.Annotations[contract.PhaseKey] == string(want)
	}, func() string { return fmt.Sprintf("%s is %s", name, want) })
}

// asleep has a proxy put an app to sleep: its own code, with its own rights.
func (s *stage) asleep(name string) {
	s.t.Helper()
	config := rest.CopyConfig(server.Config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + s.name + ":" + contract.ProxyName,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + s.name, "system:authenticated"},
	}
	store, err := target.NewStore(config)
	must(s.t, err)
	t, err := contract.ParseTarget(name)
	must(s.t, err)
	ctx, cancel := context.WithCancel(s.t.Context())
	keeper := target.New(target.Config{
		Namespace: s.name, Target: t, Pod: contract.ProxyName + "-0", Process: contract.ProxyName + "-0/1", Store: store,
		Log: zap.NewNop(), Gone: func([]string) []string { return nil },
		Exists: func(context.Context, string) (bool, error) { return true, nil },
	})
	keeper.SetUse(target.Use{IdleTimeout: time.Millisecond})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		keeper.Run(ctx)
	}()
	s.eventually(func() bool {
		state, known := keeper.State()
		return known && state.Phase == sleep.Asleep
	}, func() string { return name + " sleeps" })
	cancel()
	<-ended
}
