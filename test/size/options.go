package main

import (
	"flag"
	"fmt"
	"time"
)

// options say how much is measured. The flags' defaults are the size that TPA is judged at.
type options struct {
	services   int
	namespaces int
	// peace is for how long nothing happens while requests are counted.
	peace time.Duration
	// crash has the webhook killed, too, which takes the time that a leader's Lease lasts.
	crash bool
	// rounds is how often TPA's admission and the one that always says yes are compared, calls how many requests each gets
	// in a round; a tenth of that goes through the API server.
	rounds, calls int
	// webhook and yes are the programs.
	webhook, yes string
}

func parse(args []string) (o options, file string, err error) {
	fs := flag.NewFlagSet("size", flag.ContinueOnError)
	fs.IntVar(&o.services, "services", 5000, "managed Services")
	fs.IntVar(&o.namespaces, "namespaces", 500, "namespaces that they are spread over")
	fs.DurationVar(&o.peace, "peace", 90*time.Second, "for how long requests are counted while nothing happens")
	fs.BoolVar(&o.crash, "crash", true, "also kill the webhook")
	fs.IntVar(&o.rounds, "rounds", 9, "comparisons with the admission webhook that always says yes")
	fs.IntVar(&o.calls, "calls", 1000, "requests that each gets in a comparison")
	fs.StringVar(&o.webhook, "webhook", "bin/webhook", "TPA's webhook and controller")
	fs.StringVar(&o.yes, "yes", "bin/yes", "the admission webhook that always says yes")
	fs.StringVar(&file, "json", "", "also write the figures to this file, as JSON")
	if err := fs.Parse(args); err != nil {
		return o, file, err
	}
	if fs.NArg() > 0 {
		return o, file, fmt.Errorf("unknown argument %q", fs.Arg(0))
	}
	if o.namespaces < 1 || o.services < o.namespaces || o.services%o.namespaces != 0 {
		return o, file, fmt.Errorf("%d Services cannot be spread evenly over %d namespaces", o.services, o.namespaces)
	}
	if o.rounds < 1 || o.calls < 10 {
		return o, file, fmt.Errorf("%d rounds of %d calls are too few to compare", o.rounds, o.calls)
	}
	return o, file, nil
}
