package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/test/bench/report"
)

// measure takes all samples, one link and number of CPUs after the other.
func measure(ctx context.Context, o options, api *apiserver.Server) ([]report.Sample, error) {
	say("seed %d", o.seed)
	var (
		samples []report.Sample
		random  = rand.New(rand.NewPCG(o.seed, 0))
	)
	for _, link := range o.links {
		for _, n := range o.cpus {
			add := func(round int, arm string, found values) {
				for metric, value := range found {
					samples = append(samples, report.Sample{
						Round: round, Arm: arm, Link: link, CPUs: n, Metric: metric, Value: value,
					})
				}
			}
			if link == o.links[0] && n == o.cpus[0] { // the same wherever nothing passes
				if err := measureOnce(ctx, o, link, n, api, add); err != nil {
					return nil, err
				}
			}
			if len(o.stepsWanted()) > 0 {
				err := withSetting(ctx, o, "busy", link, n, api, func(s *setting) error { return s.rounds(ctx, random, add) })
				if err != nil {
					return nil, err
				}
			}
		}
	}
	return samples, nil
}

// withSetting starts a setting, and stops it after do.
func withSetting(ctx context.Context, o options, purpose, link string, n int, api *apiserver.Server, do func(*setting) error) error {
	s, err := newSetting(ctx, o, purpose, link, lastCPUs(n), api)
	if err == nil {
		err = do(s)
	}
	if err = errors.Join(err, s.stop()); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

// measureOnce takes the samples that need no rounds, of proxies that nothing else is measured of.
func measureOnce(ctx context.Context, o options, link string, n int, api *apiserver.Server, add func(int, string, values)) error {
	once := func(o options, purpose string, measure func(*setting, context.Context) (map[*arm]values, error)) error {
		return withSetting(ctx, o, purpose, link, n, api, func(s *setting) error {
			found, err := measure(s, ctx)
			for a, v := range found {
				add(1, a.name, v)
			}
			return err
		})
	}
	if o.wants([]string{report.EmptyPSS}) {
		for _, alone := range o.eachProxy() {
			if err := once(alone, "empty-"+alone.names()[0], (*setting).measureEmpty); err != nil {
				return err
			}
		}
	}
	if o.wants(idleMetrics) {
		return once(o, "idle", (*setting).measureIdle)
	}
	return nil
}

// rounds has all arms have their turn at each step, in random order, round after round.
func (s *setting) rounds(ctx context.Context, random *rand.Rand, add func(int, string, values)) error {
	for s.round = 1; s.round <= s.options.rounds; s.round++ {
		began := time.Now()
		for _, step := range s.stepsWanted() {
			for _, i := range random.Perm(len(s.arms)) {
				found, err := step.measure(ctx, s, s.arms[i], s.slice)
				if err != nil {
					return err
				}
				add(s.round, s.arms[i].name, found)
			}
		}
		say("%s: round %d of %d took %.0f s", s.name, s.round, s.options.rounds, time.Since(began).Seconds())
	}
	return nil
}

// lastCPUs are the last n of this machine.
func lastCPUs(n int) []int {
	var cpus []int
	for cpu := runtime.NumCPU() - n; cpu < runtime.NumCPU(); cpu++ {
		cpus = append(cpus, cpu)
	}
	return cpus
}
