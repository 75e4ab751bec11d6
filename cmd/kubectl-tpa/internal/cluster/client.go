// Package cluster reads and changes what kubectl tpa needs, over the API server alone and with the user's own rights. What a
// status needs it has package webhook/view/reader read.
package cluster

import (
	"fmt"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"tpa.dev/tpa/proxy/kube"
)

// The client's limits, those of kubectl's own discovery: a status of all namespaces reads a scale for each target.
const (
	queriesPerSecond = 50
	burst            = 300
)

// Client makes requests of an API server.
type Client struct {
	kubernetes.Interface
	Dynamic dynamic.Interface
	scales  *kube.Scales
	config  *rest.Config
	// Host is the API server's address.
	Host string
}

// New returns a Client, which hands over what the API server warns of. It makes no request.
func New(config *rest.Config, warnings rest.WarningHandler) (*Client, error) {
	config = rest.CopyConfig(config)
	config.WarningHandler = warnings
	config.QPS, config.Burst = queriesPerSecond, burst
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubernetes client: %w", err)
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubernetes client: %w", err)
	}
	scales, err := kube.New(config)
	if err != nil {
		return nil, err
	}
	return &Client{Interface: typed, Dynamic: untyped, scales: scales.Scales, config: config, Host: config.Host}, nil
}
