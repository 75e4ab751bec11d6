package main

import (
	"runtime"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"tpa.dev/tpa/proxy/tcp"
)

// startLoops starts a loop for each CPU, and leaves the scheduler one more for everything else.
func startLoops() (*tcp.Loops, error) {
	n := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(n + 1)
	return tcp.Start(n)
}

// kubernetes returns the configuration in a kubeconfig, or without one that of the pod's ServiceAccount.
func kubernetes(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", kubeconfig)
}
