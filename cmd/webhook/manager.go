package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"tpa.dev/tpa/webhook/admission"
	"tpa.dev/tpa/webhook/controller"
)

// leaderLease names the Lease that the replicas elect the controller by.
const leaderLease = "tpa-controller"

// shutdownTimeout bounds the orderly end; with the shutdown delay it stays below the pod's grace period of 30 s.
const shutdownTimeout = 20 * time.Second

func newManager(config *rest.Config, opts options) (ctrl.Manager, error) {
	metrics := metricsserver.Options{BindAddress: opts.metricsAddress}
	if opts.metricsSecure {
		metrics.SecureServing, metrics.CertDir = true, opts.certDir // whose CA a scraper can be given
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	timeout := shutdownTimeout
	config = rest.CopyConfig(config)
	config.QPS = -1 // see controller.Setup
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Cache:                         controller.Cache(),
		Metrics:                       metrics,
		HealthProbeBindAddress:        opts.probeAddress,
		WebhookServer:                 webhook.NewServer(webhook.Options{Port: opts.webhookPort, CertDir: opts.certDir}),
		LeaderElection:                opts.leaderElect,
		LeaderElectionID:              leaderLease,
		LeaderElectionNamespace:       opts.namespace,
		LeaderElectionReleaseOnCancel: true, // the process ends with the manager
		GracefulShutdownTimeout:       &timeout,
	})
	if err != nil {
		return nil, fmt.Errorf("set up the manager: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return mgr, nil
}

// serveAdmission serves Services on every replica. Ready means that the certificate is loaded and TLS is answered. When
// stopping is done the manager still serves for a while, see linger.
func serveAdmission(stopping context.Context, mgr ctrl.Manager, registry prometheus.Registerer, opts options) error {
	handler, err := admission.New(mgr.GetConfig(), mgr.GetHTTPClient(), mgr.GetRESTMapper(), opts.self())
	if err != nil {
		return err
	}
	counted := admission.NewCounted(handler)
	if err := registry.Register(counted); err != nil {
		return fmt.Errorf("export metrics: %w", err)
	}
	server := mgr.GetWebhookServer()
	server.Register(admission.Path, drain(stopping, &webhook.Admission{Handler: counted}))
	return mgr.AddReadyzCheck("webhook", server.StartedChecker())
}

// linger returns a context that ends a while after its parent: endpoints still point here when a pod is told to stop.
func linger(parent context.Context, delay time.Duration) context.Context {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	context.AfterFunc(parent, func() { time.AfterFunc(delay, cancel) })
	return ctx
}
