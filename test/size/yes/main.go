// Command yes is an admission webhook that says yes to everything, made of the same parts as TPA's: what is left between
// the two is TPA's own work.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	tpa "tpa.dev/tpa/webhook/admission"
)

func main() {
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "yes:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	ctrl.SetLogger(logr.Discard())
	port := flag.Int("webhook-port", 9444, "port of the admission webhook")
	certificates := flag.String("cert-dir", ".", "folder of tls.crt and tls.key")
	metrics := flag.String("metrics-bind-address", "127.0.0.1:8444", "address of /metrics")
	probes := flag.String("health-probe-bind-address", "127.0.0.1:8082", "address of /readyz")
	flag.Parse()

	measured, err := metricsserver.NewServer(metricsserver.Options{BindAddress: *metrics}, nil, nil)
	if err != nil {
		return err
	}
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: *port, CertDir: *certificates})
	server.Register(tpa.Path, &webhook.Admission{Handler: admission.HandlerFunc(
		func(context.Context, admission.Request) admission.Response { return admission.Allowed("") })})
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := server.StartedChecker()(r); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	ended := make(chan error, 3)
	go func() { ended <- measured.Start(ctx) }()
	go func() { ended <- server.Start(ctx) }()
	go func() { ended <- http.ListenAndServe(*probes, mux) }()
	return <-ended
}
