package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"tpa.dev/tpa/webhook/uninstall"
)

// uninstallCommand is the argument that has everything restored instead of serving.
const uninstallCommand = "uninstall"

func parseUninstall(args []string) (uninstall.Options, error) {
	var o uninstall.Options
	fs := flag.NewFlagSet("webhook "+uninstallCommand, flag.ContinueOnError)
	fs.StringVar(&o.Namespace, "namespace", os.Getenv("POD_NAMESPACE"), "TPA's own namespace (default: $POD_NAMESPACE)")
	fs.StringVar(&o.ServiceAccount, "service-account", "tpa-webhook", "TPA's own ServiceAccount in that namespace")
	fs.StringVar(&o.WebhookConfiguration, "webhook-configuration", "tpa",
		"what to delete once everything is restored, so that the API server calls nobody who is about to go; empty: nothing")
	fs.DurationVar(&o.Wait, "wait", 10*time.Minute, "how long to wait until every Service is restored")
	config.RegisterFlags(fs)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", fs.Arg(0))
	case o.Namespace == "":
		return o, errors.New("--namespace or $POD_NAMESPACE is needed: the namespace that TPA runs in")
	case o.ServiceAccount == "":
		return o, errors.New("--service-account is needed: TPA's own")
	case o.Wait < 0:
		return o, fmt.Errorf("--wait: %s is not accepted: write 0s or more", o.Wait)
	}
	return o, nil
}

// runUninstall has every managed Service restored, and waits for that.
func runUninstall(ctx context.Context, args []string, out io.Writer) error {
	opts, err := parseUninstall(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	if err := uninstall.Run(ctx, c, opts, out); err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	fmt.Fprintln(out, "every Service is restored: TPA can be removed")
	return nil
}
