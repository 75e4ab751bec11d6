package main

import (
	"context"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/test/bench/report"
	"tpa.dev/tpa/test/bench/sandbox"
)

// inside runs the benchmark in the sandbox, and publishes what it found.
func inside(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if err := sandbox.Furnish(o.nice); err != nil {
		return err
	}
	ctrl.SetLogger(logr.Discard())
	say("start an API server")
	api, err := startAPI(ctx)
	if err != nil {
		return err
	}
	// Nobody needs it to end well, which takes seconds: it ends with this process, and its files with the run's folder.
	samples, err := measure(ctx, o, api)
	if err != nil {
		return err
	}
	r, err := report.New(o.seed, machine(o), samples)
	if err != nil {
		return err
	}
	return publish(r, o)
}

// startAPI starts the API server that TPA's proxies talk to. It is idle while anything is measured, but still it is kept
// off the CPUs of those who are, as far as there are others.
func startAPI(ctx context.Context) (*apiserver.Server, error) {
	var api *apiserver.Server
	err := sandbox.OnCPUs([]int{0}, func() (err error) {
		api, err = apiserver.Start(ctx, apiserver.Options{
			NoAdmission: true,
			ServerArgs:  map[string]string{"advertise-address": "127.0.0.1"}, // it finds no other where there are no routes
		})
		return err
	})
	return api, err
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
