package main

import (
	"context"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// proxies is how many serve the namespace.
const proxies = 3

// fleet is the plan on a cluster.
type fleet struct {
	*kit.Cluster
	plan      plan
	namespace string
	addresses map[string]string // of the Services, by their names
}

// setUp creates everything anew and waits until each Service is served from every node.
func setUp(ctx context.Context, c *kit.Cluster, p plan, namespace string) (*fleet, error) {
	f := &fleet{Cluster: c, plan: p, namespace: namespace, addresses: map[string]string{}}
	if err := f.remove(ctx); err != nil {
		return nil, err
	}
	ns := kit.Namespace(namespace, true)
	ns.Annotations = map[string]string{contract.ProxyReplicasKey: fmt.Sprint(proxies)}
	objects := []client.Object{ns}
	for _, t := range p.targets {
		objects = append(objects, p.deployment(t, namespace))
	}
	for _, s := range p.services {
		objects = append(objects, p.service(s, namespace))
	}
	for _, object := range objects {
		if err := c.Create(ctx, object); err != nil {
			return nil, fmt.Errorf("create %s: %w", object.GetName(), err)
		}
	}
	for _, s := range p.services {
		if err := f.served(ctx, s); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// served waits until a Service leads to the proxies, also as the nodes see it.
func (f *fleet) served(ctx context.Context, s service) error {
	var object corev1.Service
	err := kit.Wait(ctx, 3*time.Minute, "service "+s.name+" to be Active", func(ctx context.Context) (bool, string) {
		if err := f.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: s.name}, &object); err != nil {
			return false, err.Error()
		}
		return object.Annotations[contract.PhaseKey] == string(contract.Active), kit.Describe(&object)
	})
	if err != nil {
		return err
	}
	address := net.JoinHostPort(object.Spec.ClusterIP, fmt.Sprint(object.Spec.Ports[0].Port))
	f.addresses[s.name] = address
	for _, node := range f.Nodes {
		err := kit.Wait(ctx, time.Minute, address+" to be reachable from "+node.Name, func(ctx context.Context) (bool, string) {
			conn, err := node.Dial(ctx, address)
			if err != nil {
				return false, err.Error()
			}
			return conn.Close() == nil, ""
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// proxied waits until all proxies are ready.
func (f *fleet) proxied(ctx context.Context) error {
	return kit.Wait(ctx, 2*time.Minute, "all proxies to be ready", func(ctx context.Context) (bool, string) {
		pods, err := f.proxyPods(ctx)
		ready := 0
		for _, p := range pods {
			if kit.Ready(&p) {
				ready++
			}
		}
		return ready == proxies, fmt.Sprintf("%d, %v", ready, err)
	})
}

func (f *fleet) proxyPods(ctx context.Context) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := f.List(ctx, &pods, client.InNamespace(f.namespace), kit.ProxyLabels)
	return pods.Items, err
}

// remove deletes the namespace and waits until it is gone.
func (f *fleet) remove(ctx context.Context) error {
	ns := kit.Namespace(f.namespace, true)
	if err := f.Delete(ctx, ns); err != nil {
		return client.IgnoreNotFound(err)
	}
	return kit.Wait(ctx, 5*time.Minute, "namespace "+f.namespace+" to be gone", func(ctx context.Context) (bool, string) {
		err := f.Get(ctx, client.ObjectKeyFromObject(ns), ns)
		return apierrors.IsNotFound(err), fmt.Sprintf("%+v, %v", ns.Status.Conditions, err)
	})
}
