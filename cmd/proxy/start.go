package main

import (
	"fmt"
	"math"
	"runtime"
	"syscall"

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

// descriptors is how many this process may have open. Go has raised the limit to the hard one by now.
func descriptors() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of descriptors: %w", err)
	}
	return int(min(limit.Cur, math.MaxInt32)), nil
}

// kubernetes returns the configuration in a kubeconfig, or without one that of the pod's ServiceAccount.
func kubernetes(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", kubeconfig)
}
