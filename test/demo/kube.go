package main

import (
	"context"
	"fmt"
	"net"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"tpa.dev/tpa/test/kit"
)

// kube reads what the demo shows and checks. What the demo changes, it changes with kubectl, for all to see.
type kube struct{ set *kubernetes.Clientset }

func newKube(kubeconfig string) (*kube, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	// The API server can be reached from inside a node only.
	config.Dial = func(ctx context.Context, _, address string) (net.Conn, error) {
		return kit.Node{Name: "node1"}.Dial(ctx, address)
	}
	// JSON, so that two answers can be compared byte for byte.
	config.ContentType, config.AcceptContentTypes = "application/json", "application/json"
	config.QPS, config.Burst = 50, 100
	config.WarningHandler = rest.NoWarnings{}
	config.UserAgent = "tpa-demo"
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", config.Host, err)
	}
	return &kube{set}, nil
}

func (k *kube) nodes(ctx context.Context) ([]kit.Node, error) {
	list, err := k.set.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	var nodes []kit.Node
	for _, node := range list.Items { // the API server sorts by name
		nodes = append(nodes, kit.Node{Name: node.Name})
	}
	return nodes, nil
}

// deployed reports whether TPA is there.
func (k *kube) deployed(ctx context.Context) (bool, error) {
	_, err := k.set.AppsV1().Deployments(systemNamespace).Get(ctx, "tpa-webhook", metav1.GetOptions{})
	return found(err)
}

// hasNamespace reports whether the demo's namespace is there.
func (k *kube) hasNamespace(ctx context.Context) (bool, error) {
	_, err := k.set.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	return found(err)
}

func found(err error) (bool, error) {
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// service returns a Service and the bytes that the API server sent for it.
func (k *kube) service(ctx context.Context, name string) (*corev1.Service, []byte, error) {
	var service corev1.Service
	result := k.set.CoreV1().RESTClient().Get().Namespace(namespace).Resource("services").Name(name).Do(ctx)
	raw, err := result.Raw()
	if err == nil {
		err = result.Into(&service)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("get Service %s: %w", name, err)
	}
	return &service, raw, nil
}

// workload is what there is of an app right now.
type workload struct {
	wanted int
	pods   []string
}

func (w workload) String() string {
	return fmt.Sprintf("%s wanted, %s there", count(w.wanted, "replica", "replicas"), count(len(w.pods), "pod", "pods"))
}

func (k *kube) workload(ctx context.Context, app string) (workload, error) {
	deployment, err := k.set.AppsV1().Deployments(namespace).Get(ctx, app, metav1.GetOptions{})
	if err != nil {
		return workload{}, fmt.Errorf("get Deployment %s: %w", app, err)
	}
	pods, err := k.set.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		return workload{}, fmt.Errorf("list pods of %s: %w", app, err)
	}
	w := workload{wanted: replicas(deployment)}
	for _, pod := range pods.Items {
		w.pods = append(w.pods, pod.Name)
	}
	return w, nil
}

func replicas(d *appsv1.Deployment) int {
	if d.Spec.Replicas == nil {
		return 1
	}
	return int(*d.Spec.Replicas)
}

// address is where a Service is reached.
func address(s *corev1.Service) string {
	return net.JoinHostPort(s.Spec.ClusterIP, fmt.Sprint(s.Spec.Ports[0].Port))
}
