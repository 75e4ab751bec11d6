package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// apiServer is the component that all others work through.
	apiServer      = "kube-apiserver"
	apiReadyWithin = 60 * time.Second
)

// startAPI starts etcd and the API server on node 1 and waits until it is ready.
func startAPI(ctx context.Context, first *node, cache string) error {
	c := first.run.c
	etcd, err := first.start("etcd", nil, cache+"/etcd",
		"--data-dir="+c.path("etcd"),
		// A cluster that ends with the machine needs no disk that is in step.
		"--unsafe-no-fsync",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--log-level=warn")
	if err != nil {
		return err
	}
	apiserver, err := first.start(apiServer, nil, cache+"/kube", "kube-apiserver",
		"--etcd-servers=http://127.0.0.1:2379",
		"--bind-address="+nodeIP(1), "--advertise-address="+nodeIP(1), "--secure-port=6443",
		"--service-cluster-ip-range="+serviceRange,
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--client-ca-file="+c.path("pki/ca.crt"),
		"--tls-cert-file="+c.path("pki/apiserver.crt"), "--tls-private-key-file="+c.path("pki/apiserver.key"),
		"--kubelet-client-certificate="+c.path("pki/kubelet-client.crt"),
		"--kubelet-client-key="+c.path("pki/kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.path("pki/accounts.pub"),
		"--service-account-signing-key-file="+c.path("pki/accounts.key"))
	if err != nil {
		return err
	}
	api, err := newAPI(c)
	if err != nil {
		return err
	}
	return apiserver.until(ctx, "ready", apiReadyWithin, func() error {
		if err := etcd.failed(); err != nil {
			return err
		}
		return api.ready(ctx)
	})
}

// startControllers starts what works through the API server alone.
func startControllers(first *node, cache string) error {
	c := first.run.c
	login := func(name string) []string {
		file := c.path("pki", name+".kubeconfig")
		return []string{"--kubeconfig=" + file, "--authentication-kubeconfig=" + file,
			"--authorization-kubeconfig=" + file, "--bind-address=127.0.0.1", "--leader-elect=false"}
	}
	manager := append([]string{cache + "/kube", "kube-controller-manager",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + c.path("pki/accounts.key"),
		"--root-ca-file=" + c.path("pki/ca.crt"),
		"--cluster-signing-cert-file=" + c.path("pki/ca.crt"),
		"--cluster-signing-key-file=" + c.path("pki/ca.key"),
		"--service-cluster-ip-range=" + serviceRange,
		// By default each controller makes 20 requests a second: what is left of one test with 200 Services would keep the
		// endpoints of the next one's waiting for 10 s.
		"--kube-api-qps=200", "--kube-api-burst=400",
	}, login("kube-controller-manager")...)
	if _, err := first.start("kube-controller-manager", nil, manager...); err != nil {
		return err
	}
	scheduler := append([]string{cache + "/kube", "kube-scheduler"}, login("kube-scheduler")...)
	_, err := first.start("kube-scheduler", nil, scheduler...)
	return err
}

// startCertManager applies cert-manager's CRDs and starts its controllers.
func startCertManager(ctx context.Context, first *node, cache string) error {
	api, err := newAPI(first.run.c)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(cache + "/crds/*.yaml")
	if err != nil || len(files) == 0 {
		return fmt.Errorf("cert-manager: no CRDs in %s", cache)
	}
	const crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
	var names []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("cert-manager: %w", err)
		}
		// certificates.cert-manager.io is in cert-manager.io_certificates.yaml.
		group, plural, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".yaml"), "_")
		names = append(names, plural+"."+group)
		if err := api.apply(ctx, crds+plural+"."+group, data); err != nil {
			return fmt.Errorf("cert-manager: %w", err)
		}
	}
	namespace := []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: cert-manager}\n")
	if err := api.apply(ctx, "/api/v1/namespaces/cert-manager", namespace); err != nil {
		return fmt.Errorf("cert-manager: %w", err)
	}
	for _, name := range names {
		err := first.run.wait(ctx, "cert-manager: CRD "+name+" established", 30*time.Second, func() error {
			return api.condition(ctx, crds+name, "Established")
		})
		if err != nil {
			return err
		}
	}
	login := []string{"KUBECONFIG=" + first.run.c.path("pki/cert-manager.kubeconfig")}
	_, err = first.start("cert-manager", login, cache+"/certmanager")
	return err
}

// certManagerHealth answers once all of cert-manager's controllers have seen the
// cluster; it is compiled into test/cluster/certmanager.
const certManagerHealth = "127.0.0.1:9402"
