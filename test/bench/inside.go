package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/test/bench/report"
)

// inside runs the benchmark in the namespaces that isolate made, and writes what it found.
func inside(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if err := furnish(); err != nil {
		return err
	}
	ctrl.SetLogger(logr.Discard())
	samples, err := measure(ctx, o)
	if err != nil {
		return err
	}
	r, err := report.New(o.seed, machine(o), samples)
	if err != nil {
		return err
	}
	if err := r.WriteTable(os.Stdout); err != nil || o.json == "" {
		return err
	}
	file, err := os.Create(o.json)
	if err != nil {
		return err
	}
	return errors.Join(r.WriteJSON(file), file.Close())
}

// measure takes all samples.
func measure(ctx context.Context, o options) (samples []report.Sample, err error) {
	say("seed %d", o.seed)
	random := rand.New(rand.NewPCG(o.seed, 0))
	api, err := startAPI(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, api.Stop()) }()
	for _, link := range o.links {
		for _, n := range o.cpus {
			more, err := measureIn(ctx, o, link, lastCPUs(n), api, random)
			if err != nil {
				return nil, fmt.Errorf("%s, %d CPUs: %w", link, n, err)
			}
			samples = append(samples, more...)
		}
	}
	return samples, nil
}

// measureIn takes the samples of one setting.
func measureIn(ctx context.Context, o options, link string, cpus []int, api *apiserver.Server, random *rand.Rand) ([]report.Sample, error) {
	s, err := newSetting(ctx, o, os.Getenv(insideEnv), link, cpus, api)
	defer s.stop()
	if err != nil {
		return nil, err
	}
	var samples []report.Sample
	for round := range o.rounds {
		say("%s: round %d of %d", s.name, round+1, o.rounds)
		for _, step := range stepsFor(o.metrics) {
			began := time.Now()
			for _, i := range random.Perm(len(s.arms)) {
				a := s.arms[i]
				found, err := step.measure(ctx, s, a, o.slice)
				if err != nil {
					return nil, err
				}
				for metric, value := range found {
					samples = append(samples, report.Sample{
						Round: round + 1, Arm: a.name, Link: link, CPUs: len(cpus), Metric: metric, Value: value,
					})
				}
			}
			say("  %s: %.1f s", step.name, time.Since(began).Seconds())
		}
	}
	return samples, nil
}

// startAPI starts the API server that TPA's proxies talk to. It is idle while anything is measured, but still it is kept
// off the CPUs of those who are, as far as there are others.
func startAPI(ctx context.Context) (*apiserver.Server, error) {
	say("start an API server")
	var api *apiserver.Server
	err := onCPUs([]int{0}, func() (err error) {
		api, err = apiserver.Start(ctx, apiserver.Options{
			NoAdmission: true,
			ServerArgs:  map[string]string{"advertise-address": "127.0.0.1"}, // it finds no other where there are no routes
		})
		return err
	})
	return api, err
}

// lastCPUs are the last n of this machine.
func lastCPUs(n int) []int {
	var cpus []int
	for cpu := runtime.NumCPU() - n; cpu < runtime.NumCPU(); cpu++ {
		cpus = append(cpus, cpu)
	}
	return cpus
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
