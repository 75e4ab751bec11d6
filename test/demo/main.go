// Command demo shows TPA at its main job, on a real Kubernetes, for a person to watch: `make demo`.
//
// It starts the test cluster, or uses the one that runs, deploys TPA through its manifests, and tells step by step what
// happens to an app and a database whose Services are annotated. What it prints is what happened: commands are shown as
// they are run, with their output, and every promise is checked. It fails if one was not kept.
//
// With --svg=FILE it also draws how the app slept and was woken, from what it saw (`make demo SVG=FILE`).
//
// It runs from the repository's root and needs what `make demo` builds first. KEEP=1 leaves the cluster.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	svg := flag.String("svg", "", "draw how the app slept and was woken, into this `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, &demo{screen: newScreen(os.Stdout), keep: os.Getenv("KEEP") != "", svg: *svg, began: time.Now()})
	stop()
	if err != nil {
		// All of it was shown where it happened; this is for who looks at the end.
		first, _, _ := strings.Cut(err.Error(), "\n")
		fmt.Fprintln(os.Stderr, "demo:", first)
		os.Exit(1)
	}
}

// run shows everything and clears it away, whatever comes of it.
func run(ctx context.Context, d *demo) error {
	err := d.show(ctx)
	switch {
	case ctx.Err() != nil:
		// Whatever step it was, it failed because it was interrupted.
		err = errors.New("interrupted")
		d.warn("Interrupted")
	case err != nil:
		d.diagnose(ctx, err)
	default:
		d.summary()
	}

	// A second signal ends the clean-up. The first one ended ctx.
	cleaning, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if cleanErr := d.clean(cleaning, err); cleanErr != nil {
		if cleaning.Err() != nil {
			cleanErr = fmt.Errorf("given up; to finish it: %s", d.removal())
		}
		d.fail(cleanErr)
		if err == nil {
			return fmt.Errorf("clean up: %w", cleanErr)
		}
	}
	return err
}
