package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"tpa.dev/tpa/test/stat"
)

// goal is what notice and dial should take together at most, at the 99th percentile.
const goal = 10 * time.Millisecond

// report writes what was measured as tables.
func (b *bench) report(out io.Writer, rounds int, probe bool) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n%d rounds, readiness probe: %t\nms\tmedian\tp99\tworst\n", rounds, probe)
	for _, way := range b.ways {
		fmt.Fprintf(t, "%s\t%s\n", way, row(b.took(way)))
	}
	fmt.Fprint(t, "\nratio\tof the medians\tof the p99\tround by round: median (range)\n")
	tpa := b.took(throughTPA)
	for _, way := range b.ways[1:] {
		other := b.took(way)
		var ratios []float64
		for i := range tpa {
			ratios = append(ratios, float64(tpa[i])/float64(other[i]))
		}
		fmt.Fprintf(t, "%s / %s\t%.2f\t%.2f\t%s\n", throughTPA, way, float64(stat.Median(tpa))/float64(stat.Median(other)),
			float64(stat.Quantile(tpa, .99))/float64(stat.Quantile(other, .99)), stat.SpreadOf(ratios))
	}
	for _, way := range b.ways {
		fmt.Fprintf(t, "\n%s, ms\tmedian\tp99\tworst\tuntil\tseen by\n", way)
		for _, s := range allStages {
			if took := b.stage(way, s); took != nil {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.name, row(took), s.until, s.whose)
			}
		}
	}
	fmt.Fprintf(t, "\n%s, ms\tmedian\tp99\tworst\n", throughTPA)
	fmt.Fprintf(t, "decide + scale\t%s\n", row(sum(b.stage(throughTPA, decide), b.stage(throughTPA, scale))))
	last := sum(b.stage(throughTPA, notice), b.stage(throughTPA, dial))
	fmt.Fprintf(t, "notice + dial\t%s\t(goal: %s ms; %d of %d are within it)\n", row(last), ms(goal), within(last, goal), len(last))
	fmt.Fprintf(t, "\nwatch in this process, ms\tmedian\tp99\tworst\nafter a request is sent\t%s\nafter its answer\t%s\n",
		row(b.lag.request), row(b.lag.answer))
	return t.Flush()
}

// took is how long the wakes took in one way, round by round.
func (b *bench) took(way string) []time.Duration {
	var took []time.Duration
	for _, s := range b.samples[way] {
		took = append(took, s.took)
	}
	return took
}

// stage is how long a stage took in one way, round by round; nil if that way has no such stage.
func (b *bench) stage(way string, s stage) []time.Duration {
	var took []time.Duration
	for _, sample := range b.samples[way] {
		if d, ok := sample.stages[s]; ok {
			took = append(took, d)
		}
	}
	return took
}

// sum adds up stages round by round.
func sum(of ...[]time.Duration) []time.Duration {
	total := slices.Clone(of[0])
	for _, more := range of[1:] {
		for i := range total {
			total[i] += more[i]
		}
	}
	return total
}

// within counts those that took no longer than d.
func within(took []time.Duration, d time.Duration) int {
	n := 0
	for _, one := range took {
		if one <= d {
			n++
		}
	}
	return n
}

func row(d []time.Duration) string {
	return fmt.Sprintf("%s\t%s\t%s", ms(stat.Median(d)), ms(stat.Quantile(d, .99)), ms(slices.Max(d)))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }
