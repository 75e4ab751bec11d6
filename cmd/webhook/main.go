// Command webhook runs TPA's admission webhook and, where it is asked for, the status page, on every replica, and its
// controller, on the leader. With the argument uninstall it has the TPA that runs restore every Service, and ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"tpa.dev/tpa/webhook/controller"
)

func main() {
	if err := run(ctrl.SetupSignalHandler(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "webhook:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then as long as the endpoints still point here.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == uninstallCommand {
		return runUninstall(ctx, args[1:], os.Stdout)
	}
	opts, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	logger := zap.New(zap.UseFlagOptions(&opts.log))
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)

	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	mgr, err := newManager(config, opts)
	if err != nil {
		return err
	}
	if err := export(metrics.Registry, mgr, opts); err != nil {
		return err
	}
	if err := serveAdmission(ctx, mgr, metrics.Registry, opts); err != nil {
		return err
	}
	if err := controller.Setup(mgr, opts.controller); err != nil {
		return err
	}
	if err := serveStatus(ctx, mgr, opts); err != nil {
		return err
	}
	return mgr.Start(linger(ctx, opts.shutdownDelay))
}
