package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
	"tpa.dev/tpa/webhook/rewrite"
)

const (
	own  = "tpa-system"
	shop = "shop"
	// selfUID is of TPA's own ServiceAccount.
	selfUID = "uid-of-tpa"
)

var errInjected = errors.New("the process was killed here")

// kit is a cluster in a test: an API server with TPA's admission, proxies that listen, targets that sleep, and a clock
// that moves only when everybody waits.
type kit struct {
	t       *testing.T
	api     client.WithWatch // with admission, and where failures are injected
	raw     client.WithWatch // without
	targets *fakeTargets
	events  *events.FakeRecorder
	seen    []string // Events
	now     time.Time
	options Options
	r       *Reconciler

	// noProxies keeps proxies from being ready.
	noProxies bool
	// deny is admission's answer to touches; "" lets them pass.
	deny string
	// reads and writes count what reaches the API server.
	liveReads, writes int
	// failAt is the number of the write at which the process is killed; before says on which side of it.
	failAt int
	before bool
}

func newKit(t *testing.T, objects ...client.Object) *kit {
	t.Helper()
	k := &kit{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), events: events.NewFakeRecorder(1000)}
	objects = append(objects, namespace(own, nil),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: own, Name: "tpa-webhook", UID: selfUID}})
	scheme := runtime.NewScheme() // a small one: the fake client reads all of it again for each write
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, coordinationv1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme,
	} {
		k.must(add(scheme))
	}
	k.raw = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&appsv1.Deployment{}, &corev1.Pod{}).Build()
	k.api = interceptor.NewClient(k.raw, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return k.write(func() error {
				switch o.GetObjectKind().GroupVersionKind().Kind {
				case "Service", "":
					return k.patchService(ctx, o, p)
				}
				return c.Patch(ctx, o, p, opts...)
			})
		},
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			return k.write(func() error { return c.Apply(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return k.write(func() error { return c.Delete(ctx, o, opts...) })
		},
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			t.Error("the controller creates by server-side apply only")
			return nil
		},
	})
	k.targets = &fakeTargets{k: k, asleep: map[string]int{}, settled: map[string]time.Time{}}
	k.options = Options{
		Namespace: own, ServiceAccount: "tpa-webhook", ProxyImage: "proxy:v1", ProxyDrain: time.Minute, SettleTime: 10 * time.Minute,
		RestoreTimeout: 5 * time.Minute, Linger: time.Minute, StepAsideAfter: 30 * time.Second,
		StepAsideBackoff: 30 * time.Second,
	}
	k.restart()
	return k
}

// restart begins a new process, which remembers nothing.
func (k *kit) restart() {
	config, err := k.options.validate()
	if err != nil {
		k.t.Fatal(err)
	}
	live := interceptor.NewClient(k.raw, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			k.liveReads++
			return c.Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			k.liveReads++
			return c.List(ctx, l, opts...)
		},
	})
	k.r = &Reconciler{
		Client: k.api, Live: live, Targets: k.targets, Events: k.events, Options: k.options, Proxy: config,
		Now: func() time.Time { return k.now },
	}
}

// write counts a write and kills the process at the one that was asked for.
func (k *kit) write(do func() error) error {
	k.writes++
	if k.failAt > 0 && k.writes == k.failAt && k.before {
		return errInjected
	}
	if err := do(); err != nil {
		return err
	}
	if k.failAt > 0 && k.writes == k.failAt {
		return errInjected
	}
	return nil
}

// patchService is the API server's way with a patch of a Service: admission sees the outcome before it is stored.
func (k *kit) patchService(ctx context.Context, o client.Object, p client.Patch) error {
	old := &corev1.Service{}
	if err := k.raw.Get(ctx, client.ObjectKeyFromObject(o), old); err != nil {
		return err
	}
	data, err := p.Data(o)
	if err != nil {
		return err
	}
	var sent struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.Unmarshal(data, &sent); err != nil {
		return err
	}
	if v := sent.Metadata.ResourceVersion; v != "" && v != old.ResourceVersion {
		return apierrors.NewConflict(corev1.Resource("services"), old.Name, errors.New("changed meanwhile"))
	}
	if k.deny != "" {
		return apierrors.NewForbidden(corev1.Resource("services"), old.Name, errors.New(k.deny))
	}
	patched := old.DeepCopy()
	if err := merge(patched, data); err != nil {
		return err
	}
	return k.admit(ctx, old, patched, true)
}

// merge applies a JSON merge patch of annotations.
func merge(svc *corev1.Service, data []byte) error {
	var patch struct {
		Metadata struct{ Annotations map[string]*string }
	}
	if err := json.Unmarshal(data, &patch); err != nil {
		return err
	}
	for key, value := range patch.Metadata.Annotations {
		if value == nil {
			delete(svc.Annotations, key)
			continue
		}
		metav1.SetMetaDataAnnotation(&svc.ObjectMeta, key, *value)
	}
	return nil
}

// admit stores what admission makes of a Service.
func (k *kit) admit(ctx context.Context, old, svc *corev1.Service, fromTPA bool) error {
	asked := old != nil && phaseOf(old) != "" || k.invited(svc.Namespace) && hasTarget(svc)
	var ops []byte
	if asked {
		result, errs := rewrite.Admit(rewrite.Request{Old: old, New: svc, FromTPA: fromTPA})
		if len(errs) > 0 {
			return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), svc.Name, errs)
		}
		var err error
		if ops, err = json.Marshal(result.Patch); err != nil {
			return err
		}
	}
	write := func(o client.Object) error { return k.raw.Update(ctx, o) }
	if old == nil {
		write = func(o client.Object) error { return k.raw.Create(ctx, o) }
	}
	if err := write(svc); err != nil {
		return err
	}
	if len(ops) == 0 || string(ops) == "null" || string(ops) == "[]" {
		return nil
	}
	return k.raw.Patch(ctx, svc, client.RawPatch(types.JSONPatchType, ops))
}

func (k *kit) invited(name string) bool {
	var ns corev1.Namespace
	return k.raw.Get(k.t.Context(), client.ObjectKey{Name: name}, &ns) == nil && k.r.invited(&ns)
}

// create has a user create a Service.
func (k *kit) create(svc *corev1.Service) {
	k.t.Helper()
	svc.CreationTimestamp = metav1.NewTime(k.now)
	if err := k.admit(k.t.Context(), nil, svc, false); err != nil {
		k.t.Fatal(err)
	}
}

// edit has a user change a Service.
func (k *kit) edit(name string, change func(*corev1.Service)) {
	k.t.Helper()
	old := k.service(name)
	svc := old.DeepCopy()
	change(svc)
	if err := k.admit(k.t.Context(), old, svc, false); err != nil {
		k.t.Fatal(err)
	}
}

// label has an administrator change a Namespace's label.
func (k *kit) label(name, key, value string) {
	k.t.Helper()
	var ns corev1.Namespace
	k.get(name, "", &ns)
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	was := k.r.invited(&ns)
	ns.Labels[key] = value
	if err := k.raw.Update(k.t.Context(), &ns); err != nil {
		k.t.Fatal(err)
	}
	if !was && k.r.invited(&ns) {
		k.r.memory.rescan(name, k.now)
	}
}

func (k *kit) get(name, namespace string, o client.Object) {
	k.t.Helper()
	if err := k.raw.Get(k.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kit) exists(o client.Object, name string) bool {
	return k.raw.Get(k.t.Context(), client.ObjectKey{Namespace: shop, Name: name}, o) == nil
}

func (k *kit) service(name string) *corev1.Service {
	k.t.Helper()
	svc := &corev1.Service{}
	k.get(name, shop, svc)
	return svc
}

func (k *kit) phase(name string) contract.Phase {
	k.t.Helper()
	return phaseOf(k.service(name))
}

// event reports whether an Event of a reason was recorded.
func (k *kit) event(reason string) bool {
	for {
		select {
		case e := <-k.events.Events:
			k.seen = append(k.seen, e)
			continue
		default:
		}
		break
	}
	for _, e := range k.seen {
		if strings.Contains(e, " "+reason+" ") {
			return true
		}
	}
	return false
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("ns-" + name), Labels: labels}}
}

func optedIn() *corev1.Namespace {
	return namespace(shop, map[string]string{contract.InjectLabel: contract.InjectEnabled})
}

// annotated is a Service of port 80 in front of a Deployment of its own name.
func annotated(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: shop, Name: name, UID: types.UID("uid-" + name),
			Annotations: map[string]string{contract.TargetKey: name},
		},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeClusterIP,
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(8080)}},
		},
	}
}

func deployed(name string) contract.Target {
	return contract.Target{Resource: "deployments", Group: "apps", Name: name}
}

// pod is a pod behind a Service.
func pod(app string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: app + "-0", Labels: map[string]string{"app": app}}}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return p
}

// runProxies is what the Deployment controller, the kubelet and the proxies do.
func (k *kit) runProxies() {
	k.t.Helper()
	ctx := k.t.Context()
	var d appsv1.Deployment
	wanted := k.exists(&d, contract.ProxyName)
	listening := contract.Listening{}
	var services corev1.ServiceList
	if err := k.raw.List(ctx, &services, client.InNamespace(shop), managed); err != nil {
		k.t.Fatal(err)
	}
	for _, svc := range services.Items {
		ports, _ := contract.ParsePorts(svc.Annotations[contract.PortsKey])
		for _, slot := range ports {
			listening[svc.UID] = append(listening[svc.UID], slot)
		}
	}
	for i := range 2 {
		name := fmt.Sprintf("%s-%d", contract.ProxyName, i)
		p, l := &corev1.Pod{}, &coordinationv1.Lease{}
		has := k.exists(p, name)
		if !wanted {
			if has {
				k.must(k.raw.Delete(ctx, p))
				if k.exists(l, contract.PodLease(name)) {
					k.must(k.raw.Delete(ctx, l))
				}
			}
			continue
		}
		if !has {
			p = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name, Labels: proxyobjects.Labels()}}
			k.must(k.raw.Create(ctx, p))
		}
		status := corev1.ConditionTrue
		if k.noProxies {
			status = corev1.ConditionFalse
		}
		if len(p.Status.Conditions) == 0 || p.Status.Conditions[0].Status != status {
			p.Status.Conditions = []corev1.PodCondition{{
				Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(k.now),
			}}
			k.must(k.raw.Status().Update(ctx, p))
		}
		if k.noProxies {
			continue
		}
		l = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Namespace: shop, Name: contract.PodLease(name),
			Labels:      map[string]string{contract.LeaseLabel: contract.LeaseProxy},
			Annotations: map[string]string{contract.ListeningKey: listening.String()},
		}}
		if was := (&coordinationv1.Lease{}); k.exists(was, l.Name) {
			if l.ResourceVersion = was.ResourceVersion; !maps.Equal(was.Annotations, l.Annotations) {
				k.must(k.raw.Update(ctx, l))
			}
		} else {
			k.must(k.raw.Create(ctx, l))
		}
	}
	if !wanted {
		return
	}
	status := corev1.ConditionTrue
	if k.noProxies {
		status = corev1.ConditionFalse
	}
	if len(d.Status.Conditions) == 0 || d.Status.Conditions[0].Status != status {
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: status}}
		k.must(k.raw.Status().Update(ctx, &d))
	}
}

func (k *kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// pass makes one pass, in a new process if it was killed. It returns when to come again; 0: not until something happens.
func (k *kit) pass() time.Duration {
	k.t.Helper()
	result, err := k.r.Reconcile(k.t.Context(), request(shop))
	if errors.Is(err, errInjected) {
		k.restart()
		return time.Millisecond
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return result.RequeueAfter
}

// run makes passes, while the proxies do their part, for a span of the test's time or until nothing is left to do.
func (k *kit) run(span time.Duration) {
	k.t.Helper()
	end := k.now.Add(span)
	for range 500 {
		writes, before := k.writes, k.fingerprint()
		again := k.pass()
		k.runProxies()
		if k.writes != writes || k.fingerprint() != before {
			k.now = k.now.Add(10 * time.Millisecond)
			continue
		}
		if again == 0 || k.now.Add(again).After(end) {
			if k.now.Before(end) {
				k.now = end
			}
			return
		}
		k.now = k.now.Add(again)
	}
	k.t.Fatal("it goes on and on")
}

// fingerprint changes when an object does.
func (k *kit) fingerprint() string {
	var b strings.Builder
	for _, list := range []client.ObjectList{&corev1.ServiceList{}, &corev1.PodList{}, &coordinationv1.LeaseList{}, &appsv1.DeploymentList{}} {
		k.must(k.raw.List(k.t.Context(), list))
		switch l := list.(type) {
		case *corev1.ServiceList:
			for _, o := range l.Items {
				b.WriteString(o.Name + o.ResourceVersion + " ")
			}
		case *corev1.PodList:
			for _, o := range l.Items {
				b.WriteString(o.Name + fmt.Sprint(o.Status.Conditions) + " ")
			}
		case *coordinationv1.LeaseList:
			for _, o := range l.Items {
				b.WriteString(o.Name + fmt.Sprint(o.Annotations) + " ")
			}
		case *appsv1.DeploymentList:
			for _, o := range l.Items {
				b.WriteString(o.Name + fmt.Sprint(o.Status.Conditions, o.Annotations) + " ")
			}
		}
	}
	return b.String()
}
