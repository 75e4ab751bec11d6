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
	"fmt"
	"os"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"tpa.dev/tpa/test/bench/sandbox"
)

// The roles that limits starts itself in, as its first argument.
const (
	clientRole  = "client"
	backendRole = "backend"
)

func main() { program().Main() }

func program() sandbox.Program {
	return sandbox.Program{
		Name:   "limits",
		Roles:  map[string]func() error{clientRole: func() error { return work(os.Stdin, os.Stdout) }, backendRole: serveBackends},
		Check:  func(args []string) error { _, err := parse(args); return err },
		Inside: inside,
	}
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
