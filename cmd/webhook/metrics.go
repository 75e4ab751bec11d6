package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	ctrl "sigs.k8s.io/controller-runtime"

	"tpa.dev/tpa/proxy/build"
	"tpa.dev/tpa/webhook/certificate"
	"tpa.dev/tpa/webhook/controller"
)

// export adds TPA's own metrics to those that the manager serves.
func export(registry prometheus.Registerer, mgr ctrl.Manager, opts options) error {
	log := mgr.GetLogger().WithName("metrics")
	for _, c := range []prometheus.Collector{
		build.NewCollector(),
		certificate.NewCollector(opts.certDir, func(err error) { log.Error(err, "tell when the certificate expires") }),
		controller.NewCollector(mgr.GetClient(), mgr.Elected()),
	} {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("export metrics: %w", err)
		}
	}
	return nil
}
