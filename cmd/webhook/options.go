package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap/zapcore"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"tpa.dev/tpa/webhook/controller"
	"tpa.dev/tpa/webhook/status"
)

type options struct {
	metricsAddress string
	metricsSecure  bool
	probeAddress   string
	statusAddress  string
	webhookPort    int
	certDir        string
	leaderElect    bool
	namespace      string
	serviceAccount string
	shutdownDelay  time.Duration
	log            zap.Options
	controller     controller.Options
}

func parse(args []string) (options, error) {
	o := options{log: zap.Options{TimeEncoder: zapcore.RFC3339NanoTimeEncoder}}
	fs := flag.NewFlagSet("webhook", flag.ContinueOnError)
	fs.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", `address of /metrics, "0" for none`)
	fs.BoolVar(&o.metricsSecure, "metrics-secure", true,
		"serve /metrics by TLS, with the webhook's certificate, to those who may get the non-resource URL /metrics; false: to anybody, in clear")
	fs.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", `address of /healthz and /readyz, "0" for none`)
	fs.StringVar(&o.statusAddress, "status-bind-address", "0",
		`address of the status page, such as 127.0.0.1:8082 for kubectl port-forward: it asks nobody who they are, so only a loopback address; "0" for none`)
	fs.IntVar(&o.webhookPort, "webhook-port", 9443, "port of the admission webhook")
	fs.StringVar(&o.certDir, "cert-dir", "/tls", "folder of the webhook's tls.crt and tls.key, read again when they change")
	fs.BoolVar(&o.leaderElect, "leader-elect", false, "run the controller on one replica only")
	fs.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "TPA's own namespace (default: $POD_NAMESPACE)")
	fs.StringVar(&o.serviceAccount, "service-account", "tpa-webhook", "TPA's own ServiceAccount in that namespace")
	fs.DurationVar(&o.shutdownDelay, "shutdown-delay", 5*time.Second,
		"how long to keep serving once told to stop, while the API server still calls this replica")
	o.log.BindFlags(fs)
	o.controller.BindFlags(fs)
	config.RegisterFlags(fs)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", fs.Arg(0))
	}
	if o.namespace == "" {
		return o, errors.New("--namespace or $POD_NAMESPACE is needed: the namespace that TPA runs in")
	}
	if o.statusAddress != "0" {
		if err := status.CheckAddress(o.statusAddress); err != nil {
			return o, fmt.Errorf("--status-bind-address: %w", err)
		}
	}
	o.controller.Namespace, o.controller.ServiceAccount = o.namespace, o.serviceAccount
	return o, nil
}

// self is the user name of TPA's own ServiceAccount.
func (o options) self() string {
	return "system:serviceaccount:" + o.namespace + ":" + o.serviceAccount
}
