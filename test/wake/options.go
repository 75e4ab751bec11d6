package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

// options are the command line.
type options struct {
	// rounds is how often each way to wake one app is measured; 0: not at all.
	rounds int
	// ways are how one app is woken, in turn; the first is throughTPA.
	ways []string
	// probe gives the apps a readiness probe, every second.
	probe bool
	// many is how many apps wake at once, and manyRounds how often each way; 0: not at all.
	many, manyRounds int
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("wake", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 40, "how often each way to wake one app is measured")
	others := flags.String("beside", strings.Join(ways[1:], ","), "which other ways to wake one app are measured in turn with that through TPA")
	flags.BoolVar(&o.probe, "probe", false, "give the apps a readiness probe, every second")
	flags.IntVar(&o.many, "many", 100, "how many apps wake at once")
	flags.IntVar(&o.manyRounds, "many-rounds", 2, "how often each way to wake that many is measured")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.ways = append([]string{throughTPA}, strings.FieldsFunc(*others, func(r rune) bool { return r == ',' })...)
	for i, way := range o.ways[1:] {
		if !slices.Contains(ways[1:], way) || slices.Contains(o.ways[:i+1], way) {
			return o, fmt.Errorf("--beside %q: %q is not accepted: write some of %s, each once", *others, way, strings.Join(ways[1:], ", "))
		}
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("argument %q is not accepted: there are flags only", flags.Arg(0))
	case o.rounds < 0 || o.manyRounds < 0:
		return o, fmt.Errorf("--rounds %d, --many-rounds %d: write 0 or more", o.rounds, o.manyRounds)
	case o.many < 1 || o.many > 200:
		return o, fmt.Errorf("--many %d: two nodes have place for 1 to 200", o.many)
	}
	return o, nil
}

// machine says what the figures were taken on, and how busy that was.
func machine(out io.Writer) {
	load, _ := os.ReadFile("/proc/loadavg") // elsewhere than on Linux there is none to tell
	fmt.Fprintf(out, "%d CPUs, load average %s\n", runtime.NumCPU(), strings.Join(strings.Fields(string(load))[:3], " "))
}
