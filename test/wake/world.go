package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/test/kit"
)

const (
	// patience is for what must happen but has no deadline of its own.
	patience = 3 * time.Minute
	// answerWithin is for one wake.
	answerWithin = 90 * time.Second
	// settle lies between the end of one wake's pods and the next wake. kube-proxy changes its rules once a second at
	// most: who polls is not to wait for a change that has nothing to do with the wake.
	settle = 1500 * time.Millisecond
)

// world is the namespace of a benchmark.
type world struct {
	*kit.Cluster
	namespace string
	pods      *kit.Trail[*corev1.Pod]
}

// newWorld makes a namespace, opted in. The function that it returns deletes it.
func newWorld(ctx context.Context, c *kit.Cluster) (*world, func() error, error) {
	ns := kit.Namespace("", true)
	ns.GenerateName = "bench-wake-"
	if err := c.Create(ctx, ns); err != nil {
		return nil, nil, fmt.Errorf("create namespace: %w", err)
	}
	remove := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Delete(ctx, ns); err != nil {
			return fmt.Errorf("delete namespace %s: %w", ns.Name, err)
		}
		return kit.Wait(ctx, patience, "namespace "+ns.Name+" to be gone", func(ctx context.Context) (bool, string) {
			err := c.Get(ctx, client.ObjectKeyFromObject(ns), ns)
			return client.IgnoreNotFound(err) == nil && err != nil, fmt.Sprintf("%+v", ns.Status)
		})
	}
	pods, err := kit.Follow[*corev1.Pod](ctx, c, &corev1.PodList{}, client.InNamespace(ns.Name))
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	return &world{Cluster: c, namespace: ns.Name, pods: pods}, remove, nil
}

// create makes a Deployment without replicas and a Service in front of it, managed if it has an idle time-out. It returns
// where the Service is called.
func (w *world) create(ctx context.Context, app kit.App, node string, idle time.Duration) (string, error) {
	d := app.Deployment()
	d.Spec.Replicas = new(int32)
	if node != "" {
		d.Spec.Template.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	}
	var annotations map[string]string
	if idle > 0 {
		annotations = map[string]string{contract.TargetKey: app.Name, contract.IdleTimeoutKey: idle.String()}
	}
	s := app.Service(annotations)
	for _, o := range []client.Object{d, s} {
		if err := w.Create(ctx, o); err != nil {
			return "", fmt.Errorf("create %s: %w", app.Name, err)
		}
	}
	return net.JoinHostPort(s.Spec.ClusterIP, "80"), nil
}

// active waits until a managed Service's connections pass the proxies.
func (w *world) active(ctx context.Context, name string) error {
	return kit.Wait(ctx, patience, "service "+name+" to be Active", func(ctx context.Context) (bool, string) {
		var s corev1.Service
		if err := w.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, &s); err != nil {
			return false, err.Error()
		}
		return s.Annotations[contract.PhaseKey] == string(contract.Active), kit.Describe(&s)
	})
}

// asleep waits until TPA has put an app to sleep.
func (w *world) asleep(ctx context.Context, name string) error {
	return kit.Wait(ctx, patience, name+" to be asleep", func(ctx context.Context) (bool, string) {
		state, err := w.SleepState(ctx, w.namespace, name)
		if err != nil {
			return false, err.Error()
		}
		return state.Phase == sleep.Asleep, state.String()
	})
}

// rest waits until managed apps are asleep, no app has a pod, and the cluster has nothing left to do.
func (w *world) rest(ctx context.Context, managed ...string) error {
	for _, name := range managed {
		if err := w.asleep(ctx, name); err != nil {
			return err
		}
	}
	if err := w.gone(ctx); err != nil {
		return err
	}
	select {
	case <-time.After(settle):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// gone waits until no app of the benchmark has a pod.
func (w *world) gone(ctx context.Context) error {
	return kit.Wait(ctx, patience, "the pods to be gone", func(ctx context.Context) (bool, string) {
		var pods corev1.PodList
		if err := w.List(ctx, &pods, client.InNamespace(w.namespace), client.HasLabels{"app"}); err != nil {
			return false, err.Error()
		}
		return len(pods.Items) == 0, fmt.Sprintf("%d pods", len(pods.Items))
	})
}

// scale writes the replicas, whatever they were: one request.
func (w *world) scale(ctx context.Context, name string, replicas int32) error {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}
	body := &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas},
	}
	if err := w.SubResource("scale").Update(ctx, d, client.WithSubResourceBody(body)); err != nil {
		return fmt.Errorf("scale %s to %d: %w", name, replicas, err)
	}
	return nil
}
