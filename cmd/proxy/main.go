// Command proxy serves the managed Services of its namespace: it accepts their connections, holds them while the target
// sleeps, relays them, and puts the target to sleep when nobody uses it. The controller deploys it; see package
// proxy/services for what it does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/zapr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"tpa.dev/tpa/proxy/build"
	"tpa.dev/tpa/proxy/services"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends and the connections have drained.
func run(ctx context.Context, args []string, getenv func(string) string) error {
	o, err := parse(args, getenv)
	if err != nil {
		return err
	}
	logConfig := zap.NewProductionConfig()
	logConfig.Level.SetLevel(o.logLevel)
	log, err := logConfig.Build()
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	defer func() { _ = log.Sync() }()
	klog.SetLogger(zapr.NewLogger(log))

	config, err := kubernetes(getenv("KUBECONFIG"))
	if err != nil {
		return fmt.Errorf("kubernetes configuration: %w", err)
	}
	if o.services.Descriptors, err = descriptors(); err != nil {
		return err
	}
	loops, err := startLoops()
	if err != nil {
		return err
	}
	defer loops.Close()
	o.services.Loops = loops
	manager, err := services.New(config, o.services, log)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(manager, build.NewCollector(), collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	admin := newAdmin(o.adminAddress, registry, manager.Ready, log)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(admin.serve)
	group.Go(func() error {
		defer admin.close()
		return manager.Run(ctx)
	})
	return group.Wait()
}
