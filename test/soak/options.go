package main

import (
	"flag"
	"fmt"
	"time"

	"tpa.dev/tpa/test/soak/fault"
)

// options are the command line.
type options struct {
	length    time.Duration
	rounds    int
	seed      uint64
	within    time.Duration
	json      string
	table     string
	faults    []fault.Fault
	mixed     bool
	namespace string
	keep      bool
}

// roundsPerMinute is what a run must reach unless --rounds says otherwise.
const roundsPerMinute = 100

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.DurationVar(&o.length, "for", 10*time.Minute, "how long clients call")
	flags.IntVar(&o.rounds, "rounds", -1, fmt.Sprintf("rounds that there have to be at least (default: %d a minute)", roundsPerMinute))
	flags.Uint64Var(&o.seed, "seed", 0, "seed of the schedule of gaps (default: another one each time)")
	flags.DurationVar(&o.within, "within", time.Minute, "how long an answer may take until the connection counts as lost; 150s with faults, which is longer than a proxy holds one")
	faults := flags.String("faults", "", "faults that strike meanwhile: all, or names with commas, one after the other; mixed: at random, two at a time, --for as long")
	flags.StringVar(&o.table, "table", "", "write what the faults did to this file, as Markdown")
	flags.StringVar(&o.json, "json", "", "write the result to this file")
	flags.StringVar(&o.namespace, "namespace", "soak", "where; it is deleted first, if it exists")
	flags.BoolVar(&o.keep, "keep", false, "leave the namespace")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	switch *faults {
	case "":
	case "mixed":
		o.mixed = true
	default:
		o.faults, err = fault.Named(*faults)
	}
	switch {
	case err != nil:
		return o, fmt.Errorf("--faults: %w", err)
	case flags.NArg() > 0:
		return o, fmt.Errorf("argument %q is not accepted: there are flags only", flags.Arg(0))
	case o.length <= 0 || o.within <= 0:
		return o, fmt.Errorf("--for %s --within %s are not accepted: write more than 0s", o.length, o.within)
	}
	if o.faulty() && !isSet(flags, "within") {
		o.within = 150 * time.Second
	}
	if o.rounds < 0 {
		o.rounds = int(roundsPerMinute * o.length.Minutes())
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	return o, nil
}

// faulty reports whether anything strikes.
func (o options) faulty() bool { return o.mixed || len(o.faults) > 0 }

func isSet(flags *flag.FlagSet, name string) bool {
	set := false
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}
