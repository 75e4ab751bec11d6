package report

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"tpa.dev/tpa/test/stat"
)

// WriteTable writes what a person reads: for each place what was measured, then how it compares with the targets.
func (r *Report) WriteTable(out io.Writer) error {
	w := bufio.NewWriter(out)
	for _, name := range slices.Sorted(maps.Keys(r.Machine)) {
		fmt.Fprintf(w, "%s: %s\n", name, r.Machine[name])
	}
	fmt.Fprintf(w, "seed: %d\n", r.Seed)
	for _, place := range r.places() {
		fmt.Fprintf(w, "\n%s: medians of %d rounds\n", place, len(r.rounds(place)))
		align(w, r.measured(place))
		fmt.Fprintf(w, "\n%s: TPA ÷ HAProxy of the same round, or as the row says; median (range)\n", place)
		align(w, r.judged(place))
	}
	if missing := r.unmeasured(); len(missing) > 0 {
		fmt.Fprintf(w, "\nnot measured: %s\n", strings.Join(missing, ", "))
	}
	return w.Flush()
}

// unmeasured are the targets of which TPA has no figure anywhere.
func (r *Report) unmeasured() []string {
	var names []string
	for _, target := range Targets {
		if !slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Name == target.Name && row.Arm == TPA }) {
			names = append(names, target.Name)
		}
	}
	return names
}

// measured has a line for each metric and a column for each arm.
func (r *Report) measured(place Place) [][]string {
	arms := r.arms(place)
	lines := [][]string{append([]string{""}, arms...)}
	for _, metric := range Metrics {
		line, found := []string{metric.String()}, false
		for _, arm := range arms {
			values := r.values(place, arm, metric.Name)
			if len(values) == 0 {
				line = append(line, "-")
				continue
			}
			line, found = append(line, digits(stat.Median(values))), true
		}
		if found {
			lines = append(lines, line)
		}
	}
	return lines
}

// judged has a line for each target and arm of TPA, beside the other proxies' figures.
func (r *Report) judged(place Place) [][]string {
	lines := [][]string{{"", "TPA", "must", "aim", "verdict", "tuned", "nginx"}}
	for _, row := range r.Rows {
		if row.Place != place || !isTPA(row.Arm) {
			continue
		}
		title, must := fmt.Sprintf("%2d  %s", row.Row, row.Title), ""
		if row.Arm != TPA {
			title = "      " + row.Arm
		}
		if row.Must != nil {
			must = digits(*row.Must)
		}
		lines = append(lines, []string{
			title, row.Spread.String(), must, digits(row.Aim), string(row.Verdict),
			r.median(place, row.Name, HAProxyTuned), r.median(place, row.Name, Nginx),
		})
	}
	return lines
}

// median is the figure of one arm, as the table shows it.
func (r *Report) median(place Place, target, arm string) string {
	for _, row := range r.Rows {
		if row.Place == place && row.Name == target && row.Arm == arm {
			return digits(row.Median)
		}
	}
	return "-"
}

// digits shows three of them, with two decimal places at most.
func digits(value float64) string {
	switch {
	case value >= 100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.2f", value)
}

// align writes columns as wide as their widest cell, the first one left-aligned.
func align(out io.Writer, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range lines {
		var text strings.Builder
		for i, cell := range line {
			if i == 0 {
				fmt.Fprintf(&text, "  %-*s", widths[i], cell)
			} else {
				fmt.Fprintf(&text, "  %*s", widths[i], cell)
			}
		}
		fmt.Fprintln(out, strings.TrimRight(text.String(), " "))
	}
}
