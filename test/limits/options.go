package main

import (
	"flag"
	"fmt"
	"path/filepath"
	"time"
)

// options are the command line. The flags' defaults are the sizes that TPA is judged at.
type options struct {
	what  string // budget or rest
	proxy string
	// conns is how many connections are too many, services for how many Services.
	conns, services int
	// patient also waits until the kernel finds out about clients that vanished without a word, which takes two minutes.
	patient bool
	// peace is for how long nothing happens while it is measured what that costs, rounds how many wakes are compared.
	peace  time.Duration
	rounds int
}

func parse(args []string) (options, error) {
	var o options
	if len(args) == 0 || args[0] != "budget" && args[0] != "rest" {
		return o, fmt.Errorf("say what to measure: budget or rest")
	}
	o.what = args[0]
	fs := flag.NewFlagSet("limits "+o.what, flag.ContinueOnError)
	fs.StringVar(&o.proxy, "proxy", "bin/proxy", "TPA's proxy")
	if o.what == "budget" {
		fs.IntVar(&o.conns, "conns", 20_000, "connections to one sleeping Service, to several, and to one that is awake")
		fs.IntVar(&o.services, "services", 50, "Services that share them")
		fs.BoolVar(&o.patient, "patient", true, "also wait two minutes for the kernel to find out about clients that vanished")
	} else {
		fs.IntVar(&o.services, "services", 1000, "Services of one namespace")
		fs.DurationVar(&o.peace, "peace", time.Minute, "for how long nothing happens")
		fs.IntVar(&o.rounds, "rounds", 20, "wakes of one of them beside wakes in an empty namespace")
	}
	if err := fs.Parse(args[1:]); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", fs.Arg(0))
	}
	if o.services < 2 || o.what == "budget" && o.conns < 40*o.services {
		return o, fmt.Errorf("%d connections to %d Services are too few to be too many", o.conns, o.services)
	}
	var err error
	o.proxy, err = filepath.Abs(o.proxy)
	return o, err
}
