package kit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Cluster is the cluster under test, as its administrator sees it.
type Cluster struct {
	client.WithWatch
	// Nodes are in the order of their names.
	Nodes []Node

	clientset kubernetes.Interface
}

// Connect connects to the cluster that KUBECONFIG names, from inside its first node.
func Connect(ctx context.Context) (*Cluster, error) {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		return nil, errors.New("KUBECONFIG is not set: start this with bin/cluster exec node1 -- COMMAND")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 200, 400 // what is measured must not wait for the one who measures
	config.WarningHandler = rest.NoWarnings{}
	config.UserAgent = "tpa-test"
	c := &Cluster{}
	if c.WithWatch, err = client.NewWithWatch(config, client.Options{}); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", config.Host, err)
	}
	if c.clientset, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", config.Host, err)
	}
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes); err != nil {
		return nil, fmt.Errorf("connect to %s: list nodes: %w", config.Host, err)
	}
	for _, n := range nodes.Items {
		node := Node{Name: n.Name}
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP && node.IP == "" {
				node.IP = a.Address
			}
		}
		c.Nodes = append(c.Nodes, node)
	}
	slices.SortFunc(c.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return c, nil
}
