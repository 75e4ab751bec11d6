// Command limits measures what proxies of TPA do at the two ends of what may be asked of them, on a real API server without
// nodes:
//
//	limits budget   # far too many connections, and clients and backends that misbehave
//	limits rest     # 1,000 Services of which nobody wants anything
//
// `make bench-budget` and `make bench-rest` run them. Proxies, clients and backends are processes of their own in networks of
// their own. What must hold at any size (nothing lost, everything counted, everything given back) is checked, and fails the
// run; figures are printed. Where times are judged, two things alternate within the run, and the figure is their ratio.
//
// It needs root, iproute2, and $KUBEBUILDER_ASSETS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"tpa.dev/tpa/test/bench/sandbox"
)

// The roles that limits starts itself in, as its first argument. Inside is followed by what is measured, and flags.
const (
	insideRole  = "inside"
	clientRole  = "client"
	backendRole = "backend"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "limits:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	role := ""
	if len(args) > 0 {
		role = args[0]
	}
	switch role { // these two end by the signal that tells them to
	case clientRole:
		return work(os.Stdin, os.Stdout)
	case backendRole:
		return serveBackends()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if role == insideRole {
		return inside(ctx, args[1:])
	}
	if _, err := parse(args); err != nil {
		return err
	}
	return sandbox.Run(ctx, append([]string{insideRole}, args...)...)
}

// inside measures in the namespaces that sandbox made.
func inside(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if err := sandbox.Furnish(0); err != nil {
		return err
	}
	ctrl.SetLogger(logr.Discard())
	measure := budget
	if o.what == "rest" {
		measure = rest
	}
	return measure(ctx, o, os.Stdout)
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
