package status

import (
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/view"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// columns are those of view's table that the page shows, by name.
var columns = []string{
	"Service", "Target", "State", "Ready", "Connections", "Idle for", "Sleeps in", "Wakes", "Last wake", "Asleep for",
}

// states are those that one can ask for.
var states = []view.State{
	view.Asleep, view.PartlyAsleep, view.Sleeping, view.Waking, view.Awake, view.Pending, view.Restoring, view.Missing, view.Unmanaged,
	view.Unknown,
}

// filter is what a viewer wants to see.
type filter struct {
	// Text is part of namespace/name or of a target; State is one of states. Empty: any.
	Text, State string
}

func (f filter) lets(s view.Service) bool {
	text := strings.ToLower(f.Text)
	return (f.State == "" || f.State == string(s.State)) &&
		(strings.Contains(s.Namespace+"/"+s.Name, text) || strings.Contains(strings.ToLower(s.TargetNames()), text))
}

func (f filter) apply(all []view.Explanation) []view.Explanation {
	var picked []view.Explanation
	for _, e := range all {
		if f.lets(e.Service) {
			picked = append(picked, e)
		}
	}
	return picked
}

// page is what the template shows.
type page struct {
	filter
	States []view.State
	// At is when the Services were read, Age how long ago that is.
	At  time.Time
	Age string
	// Problem is why that was not later; empty if it could be.
	Problem string

	// All counts the Services, Counts those in each state there is.
	All    int
	Counts []count
	// NotRun and Observed say how much did not run and how much would not have; Observed is nil if that is nothing.
	NotRun, Observed []string
	Columns          []string
	Rows             []row
	Chart            chart
}

type count struct {
	State view.State
	N     int
}

// row is one Service.
type row struct {
	ID, Namespace string
	Cells         []cell
	NotRun        string
	Reason        string
	// Heading is the question that Why answers.
	Heading  string
	Why      []line
	Problems []view.Problem
}

// cell is one of columns.
type cell struct {
	Column, Text string
	// State is set in the column of that name.
	State view.State
}

// line is one reason; Under says that it belongs to the one before it.
type line struct {
	Text  string
	Under bool
}

// newPage lays out what is shown; the snapshot may be nil.
func newPage(snapshot *Snapshot, problem error, f filter, wakes *Wakes, now time.Time) page {
	p := page{filter: f, States: states, Columns: columns, Chart: newChart(wakes)}
	if problem != nil {
		p.Problem = problem.Error()
	}
	if snapshot == nil {
		return p
	}
	p.At, p.Age = snapshot.At, duration.HumanDuration(now.Sub(snapshot.At))
	p.All = len(snapshot.Explanations)
	for _, state := range states {
		n := 0
		for _, e := range snapshot.Explanations {
			if e.State == state {
				n++
			}
		}
		if n > 0 {
			p.Counts = append(p.Counts, count{state, n})
		}
	}
	p.NotRun = amounts(snapshot.Saved)
	if snapshot.Observed != (contract.Saved{}) {
		p.Observed = amounts(snapshot.Observed)
	}
	p.Rows = rows(f.apply(snapshot.Explanations))
	return p
}

// Asleep counts the Services of which every target sleeps.
func (p page) Asleep() int {
	i := slices.IndexFunc(p.Counts, func(c count) bool { return c.State == view.Asleep })
	if i < 0 {
		return 0
	}
	return p.Counts[i].N
}

func rows(explanations []view.Explanation) []row {
	services := make([]view.Service, len(explanations))
	for i, e := range explanations {
		services[i] = e.Service
	}
	table := view.Table(services)
	position := map[string]int{}
	for i, c := range table.ColumnDefinitions {
		position[c.Name] = i
	}
	all := make([]row, len(explanations))
	for i, e := range explanations {
		r := row{
			ID: e.Namespace + "/" + e.Name, Namespace: e.Namespace, NotRun: "-", Reason: e.Reason,
			Heading: strings.TrimSuffix(e.Heading(), ":"), Problems: e.Problems,
		}
		if e.History != nil {
			r.NotRun = hours(e.History.Saved.Replicas)
		}
		for _, name := range columns {
			c := cell{Column: name, Text: fmt.Sprint(table.Rows[i].Cells[position[name]])}
			if name == "State" {
				c.State = e.State
			}
			r.Cells = append(r.Cells, c)
		}
		for _, why := range e.Why {
			r.Why = append(r.Why, line{Text: strings.TrimSpace(why), Under: strings.HasPrefix(why, " ")})
		}
		all[i] = r
	}
	return all
}

func amounts(s contract.Saved) []string {
	return []string{
		hours(s.Replicas) + " replica-hours",
		hours(s.CPU) + " CPU core-hours",
		hours(s.Memory/(1<<30)) + " GiB-hours of memory",
	}
}

// hours is a sum of seconds, in hours.
func hours(seconds float64) string {
	h := seconds / 3600
	if h >= 100 {
		return fmt.Sprintf("%.0f", h)
	}
	return fmt.Sprintf("%.1f", h)
}
