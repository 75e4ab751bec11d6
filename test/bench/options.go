package main

import (
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"tpa.dev/tpa/test/bench/report"
)

// options are the command line.
type options struct {
	anchors []string // arms that are not TPA's
	builds  []build
	links   []string
	cpus    []int
	metrics []string
	rounds  int
	slice   time.Duration
	idle    int
	quiet   time.Duration
	nice    int
	seed    uint64
	// Files; an empty name is none.
	json, chart, check string
}

// build is a binary of TPA's proxy.
type build struct{ arm, path string }

// anchors are the arms that TPA is compared with.
var anchors = []string{report.Direct, report.HAProxy, report.HAProxyTuned, report.Nginx}

func parse(args []string) (options, error) {
	links, metrics := []string{loopback, veth}, metricNames()
	o := options{anchors: anchors, links: links, cpus: []int{1, 2}, metrics: metrics}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	list(fs, "arms", &o.anchors, anchors, "what TPA is compared with")
	list(fs, "links", &o.links, links, "what connects client, proxy and server")
	list(fs, "metrics", &o.metrics, metrics, "measure only what yields these")
	fs.Func("proxy", "TPA's proxy: PATH, or NAME=PATH for an arm tpa-NAME; may be repeated (default bin/proxy)", o.addProxy)
	fs.Func("cpus", "numbers of CPUs that all share, separated by commas (default 1,2)", o.setCPUs)
	fs.IntVar(&o.rounds, "rounds", 7, "how often everything is measured")
	fs.DurationVar(&o.slice, "slice", 750*time.Millisecond, "for how long a measurement counts")
	fs.IntVar(&o.idle, "idle", 3000, "how many idle connections each proxy gets")
	fs.DurationVar(&o.quiet, "quiet", time.Minute, "how long nothing happens before the memory of idle connections is read")
	fs.IntVar(&o.nice, "nice", 0, "priority, from -20 to 19; on a machine that does other things, too, times mean little without a high one, such as -20")
	fs.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the arms' order")
	fs.StringVar(&o.json, "json", "", "also write the report to this file, as JSON")
	fs.StringVar(&o.chart, "chart", "", "also draw the figures of the first link and number of CPUs to this file, as SVG")
	fs.StringVar(&o.check, "check", "", "fail if a figure is outside the ranges in this file")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", fs.Arg(0))
	}
	if o.rounds < 1 || o.slice <= 0 || o.idle < 1 {
		return o, fmt.Errorf("%d rounds of %s, %d idle connections: there is nothing to measure", o.rounds, o.slice, o.idle)
	}
	if len(o.builds) == 0 {
		o.builds = []build{{report.TPA, "bin/proxy"}}
	}
	return o, nil
}

// names are the arms.
func (o options) names() []string {
	names := slices.Clone(o.anchors)
	for _, b := range o.builds {
		names = append(names, b.arm)
	}
	return names
}

// eachProxy returns the options with one proxy as the only arm, for each.
func (o options) eachProxy() []options {
	var each []options
	add := func(anchors []string, builds []build) {
		alone := o
		alone.anchors, alone.builds = anchors, builds
		each = append(each, alone)
	}
	for _, name := range o.anchors {
		if name != report.Direct {
			add([]string{name}, nil)
		}
	}
	for _, b := range o.builds {
		add(nil, []build{b})
	}
	return each
}

// list is a flag that takes some of the accepted words.
func list(fs *flag.FlagSet, name string, to *[]string, accepted []string, usage string) {
	usage = fmt.Sprintf("%s, separated by commas: %s", usage, strings.Join(accepted, ", "))
	fs.Func(name, usage, func(value string) error {
		*to = nil
		for word := range strings.SplitSeq(value, ",") {
			if !slices.Contains(accepted, word) {
				return fmt.Errorf("%q is none of %s", word, strings.Join(accepted, ", "))
			}
			*to = append(*to, word)
		}
		return nil
	})
}

func (o *options) addProxy(value string) error {
	b := build{report.TPA, value}
	if name, path, named := strings.Cut(value, "="); named {
		b = build{report.TPA + "-" + name, path}
	}
	if slices.ContainsFunc(o.builds, func(other build) bool { return other.arm == b.arm }) {
		return fmt.Errorf("there are two arms %s: name them, NAME=PATH", b.arm)
	}
	var err error
	b.path, err = filepath.Abs(b.path)
	o.builds = append(o.builds, b)
	return err
}

func (o *options) setCPUs(value string) error {
	o.cpus = nil
	for word := range strings.SplitSeq(value, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > runtime.NumCPU() {
			return fmt.Errorf("%q is no number of CPUs between 1 and %d", word, runtime.NumCPU())
		}
		o.cpus = append(o.cpus, n)
	}
	return nil
}

func metricNames() []string {
	names := append([]string{report.EmptyPSS}, idleMetrics...)
	for _, step := range steps {
		names = append(names, step.metrics...)
	}
	return names
}
