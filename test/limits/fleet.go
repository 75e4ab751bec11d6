package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/test/apiserver"
)

// app is a Service that is Active, its Deployment, and the one pod of that.
type app struct {
	name        string
	port        int // of the pod
	asleep      bool
	annotations map[string]string

	slot int32
	pod  *corev1.Pod
}

// fleet is a namespace with apps, as a proxy of that namespace finds it.
type fleet struct {
	w         *world
	namespace string
	apps      map[string]*app

	mu      sync.Mutex
	manual  bool // pods become ready when somebody says so
	readyAt map[string]time.Time
}

func proxyUser(namespace string) string {
	return "system:serviceaccount:" + namespace + ":" + contract.ProxyName
}

// newFleet plays users, the controller and the kubelet up to where the apps are as they are to be, and plays the kubelet from
// then on until ctx ends.
func (w *world) newFleet(ctx context.Context, namespace string, apps []*app) (*fleet, error) {
	f := &fleet{w: w, namespace: namespace, apps: map[string]*app{}, readyAt: map[string]time.Time{}}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: contract.ProxyName}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&rbacv1.RoleBinding{
			ObjectMeta: meta,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: contract.ProxyClusterRole},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: contract.ProxyName}},
		},
	} {
		if err := w.api.Admin.Create(ctx, o); err != nil {
			return nil, fmt.Errorf("create %T %s: %w", o, namespace, err)
		}
	}
	var group errgroup.Group
	group.SetLimit(8)
	for i, a := range apps {
		a.slot = contract.PortMin + int32(i)
		f.apps[a.name] = a
		group.Go(func() error { return f.create(ctx, a) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return f, f.play(ctx)
}

func (f *fleet) create(ctx context.Context, a *app) error {
	replicas := int32(1)
	if a.asleep {
		replicas = 0
	}
	labels := map[string]string{"app": a.name}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:v1"}}}
	a.pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: a.name + "-0", Labels: labels}, Spec: spec}
	objects := []client.Object{
		&appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: a.name},
			Spec: appsv1.DeploymentSpec{
				Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
			},
		},
		f.service(a),
	}
	if a.asleep {
		target, err := contract.ParseTarget(a.name)
		if err != nil {
			return err
		}
		state := sleep.State{Phase: sleep.Asleep, Seq: 1, Since: time.Now().UTC(), Replicas: 1, Owed: true}
		objects = append(objects, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Namespace: f.namespace, Name: target.Lease(),
			Labels:      map[string]string{contract.LeaseLabel: contract.LeaseTarget},
			Annotations: map[string]string{contract.TargetKey: target.String(), contract.StateKey: state.String()},
		}})
	}
	for _, o := range objects {
		if err := f.w.api.Admin.Create(ctx, o); err != nil {
			return fmt.Errorf("create %T %s/%s: %w", o, f.namespace, o.GetName(), err)
		}
	}
	return f.setReady(ctx, a, !a.asleep)
}

// service is as the webhook and the controller leave it.
func (f *fleet) service(a *app) *corev1.Service {
	original := contract.Original{
		Selector: map[string]string{"app": a.name}, TargetPorts: map[int32]intstr.IntOrString{80: intstr.FromInt(a.port)},
	}
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: f.namespace, Name: a.name, Labels: map[string]string{contract.ManagedLabel: contract.ManagedTrue},
			Annotations: map[string]string{
				contract.TargetKey: a.name, contract.IdleTimeoutKey: "24h", contract.PhaseKey: string(contract.Active),
				contract.PortsKey: contract.Ports{80: a.slot}.String(), contract.OriginalKey: original.String(),
			},
		},
		Spec: corev1.ServiceSpec{
			Selector: contract.ProxySelector(),
			Ports:    []corev1.ServicePort{{Name: "tcp", Port: 80, TargetPort: intstr.FromInt32(a.slot)}},
		},
	}
	for key, value := range a.annotations {
		svc.Annotations[key] = value
	}
	return svc
}

// setReady gives an app its pod, which is ready at once, or takes it away.
func (f *fleet) setReady(ctx context.Context, a *app, ready bool) error {
	f.mu.Lock()
	pod := a.pod.DeepCopy()
	f.readyAt[a.name] = time.Now()
	f.mu.Unlock()
	if err := f.podReady(ctx, pod, ready); err != nil {
		return fmt.Errorf("pod %s/%s: %w", f.namespace, pod.Name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	a.pod = pod
	return nil
}

// podReady is setReady for a pod, which has a UID if it exists.
func (f *fleet) podReady(ctx context.Context, pod *corev1.Pod, ready bool) error {
	admin := f.w.api.Admin
	if !ready {
		if pod.UID == "" {
			return nil
		}
		err := admin.Delete(ctx, pod, client.GracePeriodSeconds(0))
		pod.ObjectMeta = metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels}
		return client.IgnoreNotFound(err)
	}
	if pod.UID == "" {
		if err := admin.Create(ctx, pod); err != nil {
			return err
		}
		pod.Status = corev1.PodStatus{PodIP: podAddress, PodIPs: []corev1.PodIP{{IP: podAddress}}}
	}
	return apiserver.SetReady(ctx, admin, pod, true)
}

// wasReady returns when an app's pod last became ready or ceased to be.
func (f *fleet) wasReady(name string) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.readyAt[name]
}

// play gives each Deployment that has replicas its pod, and takes it away when it has none, unless that is to be done by
// hand.
func (f *fleet) play(ctx context.Context) error {
	watch, err := f.w.api.Admin.Watch(ctx, &appsv1.DeploymentList{}, client.InNamespace(f.namespace))
	if err != nil {
		return fmt.Errorf("watch deployments of %s: %w", f.namespace, err)
	}
	go func() {
		defer watch.Stop()
		for e := range watch.ResultChan() {
			d, ok := e.Object.(*appsv1.Deployment)
			if !ok {
				continue
			}
			f.mu.Lock()
			manual := f.manual
			f.mu.Unlock()
			if up := *d.Spec.Replicas > 0; !manual || !up {
				if err := f.setReady(ctx, f.apps[d.Name], up); err != nil && ctx.Err() == nil {
					say("play: %v", err)
				}
			}
		}
	}()
	return nil
}

// byHand says whether pods become ready by hand only.
func (f *fleet) byHand(manual bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.manual = manual
}

// addresses are where some apps are reached through a proxy.
func (f *fleet) addresses(p *proxy, names ...string) []string {
	var addresses []string
	for _, name := range names {
		addresses = append(addresses, p.address+":"+strconv.Itoa(int(f.apps[name].slot)))
	}
	return addresses
}
