package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"tpa.dev/tpa/test/kit"
)

// row is what became of the connections during a fault, from its strike until all was normal.
type row struct {
	Fault       string `json:"fault"`
	What        string `json:"what"`
	MayLose     string `json:"mayLose"`
	Connections int    `json:"connections"`
	// Inside, Unnoticed and Otherwise are the lost ones, see excuse; Otherwise has none.
	Inside    int `json:"inside"`
	Unnoticed int `json:"unnoticed"`
	Otherwise int `json:"otherwise"`
	Wrong     int `json:"wrong"`
	// Late are those that were answered later than is usual.
	Late int `json:"late"`
	// Slowest is the longest that a first answer took, in seconds.
	Slowest float64 `json:"slowest"`
	// Normal is how long after the heal all was normal, in seconds; 0 if it was not in time.
	Normal float64 `json:"normal"`

	begun time.Time
	err   error
}

func (r *row) add(c connection, e excuse, usual time.Duration) {
	r.Connections++
	switch kind := c.kind(); {
	case kind == kit.OK:
		r.Slowest = max(r.Slowest, c.first.Seconds())
		if c.first > usual {
			r.Late++
		}
	case kind == kit.Wrong:
		r.Wrong++
	case e == inside:
		r.Inside++
	case e == unnoticed:
		r.Unnoticed++
	default:
		r.Otherwise++
	}
}

func (r *row) String() string {
	s := fmt.Sprintf("%s: connections=%d inside=%d unnoticed=%d otherwise=%d wrong=%d late=%d, slowest answer %.1f s, normal after %.1f s",
		r.Fault, r.Connections, r.Inside, r.Unnoticed, r.Otherwise, r.Wrong, r.Late, r.Slowest, r.Normal)
	if r.err != nil {
		s += ": " + r.err.Error()
	}
	return s
}

// writeTable writes rows as Markdown to a file, if that has a name.
func writeTable(file string, rows []row) error {
	if file == "" {
		return nil
	}
	var b strings.Builder
	fmt.Fprintln(&b, "| fault | connections | lost in what it struck | refused there until noticed | lost otherwise | answered late | slowest answer | normal after |")
	fmt.Fprintln(&b, "|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		normal := fmt.Sprintf("%.0f s", r.Normal)
		if r.err != nil {
			normal = "not in time"
		}
		fmt.Fprintf(&b, "| `%s`: %s | %d | %d | %d | %d | %d | %.1f s | %s |\n",
			r.Fault, r.What, r.Connections, r.Inside, r.Unnoticed, r.Otherwise+r.Wrong, r.Late, r.Slowest, normal)
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}
