package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what was measured. Times are in seconds, unless their name says otherwise.
type report struct {
	Services   int       `json:"services"`
	Namespaces int       `json:"namespaces"`
	CPUs       int       `json:"cpus"`
	Began      time.Time `json:"began"`

	OptIn struct {
		span           // until all are Active
		Half   float64 `json:"half"`   // until half of the Services are Active
		ToRest span    `json:"toRest"` // until TPA has nothing left to do
		// PeakMiB is the most memory that the webhook had up to then.
		PeakMiB float64 `json:"peakMiB"`
	} `json:"optIn"`
	Peace struct {
		span
		MiB float64 `json:"mib"` // at its end
	} `json:"peace"`
	Restart   *restart `json:"restart"`
	Crash     *restart `json:"crash,omitempty"`
	Admission struct {
		Latency     []latency     `json:"latency"`
		Allocations []allocations `json:"allocations"`
	} `json:"admission"`
	Apply struct {
		Latency []latency `json:"latency"`
		// Calls is how often the API server asked TPA about an apply of a managed Service.
		Calls float64 `json:"calls"`
	} `json:"apply"`
	OptOut struct {
		span             // until TPA has nothing left to do
		Restored float64 `json:"restored"` // until no Service is managed
		Left     int     `json:"left"`     // objects of TPA that are left
	} `json:"optOut"`
}

// restart is from the start of a new process until it has nothing left to do.
type restart struct {
	span
	Leads   float64 `json:"leads"` // until it is the leader
	MiB     float64 `json:"mib"`
	PeakMiB float64 `json:"peakMiB"`
}

// print writes it for a person.
func (r *report) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	each := func(n int) string { return fmt.Sprintf("%d\t%.2f per Service", n, float64(n)/float64(r.Services)) }

	line("%d Services in %d namespaces on %d CPUs", r.Services, r.Namespaces, r.CPUs)
	line("\nopt-in: the namespaces are labelled; the Services are annotated and their pods run")
	line("  all Active after\t%.1f s\thalf of them after %.1f s, TPA at rest after %.1f s", r.OptIn.Seconds, r.OptIn.Half, r.OptIn.ToRest.Seconds)
	line("  writes\t%s", each(r.OptIn.ToRest.writes()))
	line("  Events\t%s", each(r.OptIn.ToRest.events()))
	line("  reads\t%s", each(r.OptIn.ToRest.reads()))
	r.OptIn.ToRest.printRequests(line, r.Services)
	line("  requests in flight\t%.2f\ton average until all were Active, as the API server saw it", r.OptIn.ServerSeconds/r.OptIn.Seconds)
	r.OptIn.printCPU(line, r.CPUs)
	line("  the webhook's memory\t%.0f MiB\tat its peak", r.OptIn.PeakMiB)

	line("\npeace: %.0f s in which nothing happens", r.Peace.Seconds)
	line("  requests a minute\t%.1f\tbeyond leader election", 60*float64(r.Peace.reads()+r.Peace.writes()+r.Peace.events())/r.Peace.Seconds)
	r.Peace.printRequests(line, r.Services)
	r.Peace.printCPU(line, r.CPUs)
	line("  the webhook's memory\t%.0f MiB", r.Peace.MiB)

	for _, again := range []struct {
		what string
		*restart
	}{{"restart: told to stop", r.Restart}, {"crash: killed", r.Crash}} {
		if again.restart == nil {
			continue
		}
		line("\n%s, and started again", again.what)
		line("  at rest after\t%.1f s\tleader after %.1f s", again.Seconds, again.Leads)
		line("  writes, Events, reads\t%d, %d, %d", again.writes(), again.events(), again.reads())
		again.printRequests(line, r.Services)
		line("  the webhook's memory\t%.0f MiB\t%.0f MiB at its peak", again.MiB, again.PeakMiB)
	}

	line("\nadmission: a managed Service is applied again; the two alternate")
	printLatency(line, r.Admission.Latency)
	for _, a := range r.Admission.Allocations {
		line("  %s\t%.0f allocations\t%.1f KiB", a.Name, a.Objects, a.Bytes/1024)
	}
	line("\napply: a server-side apply through the API server")
	printLatency(line, r.Apply.Latency)
	line("  TPA is asked\t%.2f times\tabout each of a managed Service", r.Apply.Calls)

	line("\nopt-out: the label is taken off the namespaces")
	line("  none managed after\t%.1f s\tTPA at rest after %.1f s, %d of its objects left", r.OptOut.Restored, r.OptOut.Seconds, r.OptOut.Left)
	line("  writes\t%s", each(r.OptOut.writes()))
	line("  Events\t%s", each(r.OptOut.events()))
	line("  reads\t%s", each(r.OptOut.reads()))
	r.OptOut.printRequests(line, r.Services)
	return w.Flush()
}

func (s span) printRequests(line func(string, ...any), services int) {
	for _, kind := range slices.SortedFunc(maps.Keys(s.Requests), func(a, b string) int { return s.Requests[b] - s.Requests[a] }) {
		line("    %s\t%d\t%.2f", kind, s.Requests[kind], float64(s.Requests[kind])/float64(services))
	}
}

func (s span) printCPU(line func(string, ...any), cpus int) {
	var shares []string
	for _, name := range slices.Sorted(maps.Keys(s.CPU)) {
		shares = append(shares, fmt.Sprintf("%s %.1f", name, s.CPU[name]))
	}
	line("  CPU seconds\tof %.0f\t%s", s.Seconds*float64(cpus), strings.Join(shares, ", "))
}

func printLatency(line func(string, ...any), all []latency) {
	for _, l := range all {
		line("  %s\tp50 %.3f ms\tp99 %.3f ms", l.Name, l.P50, l.P99)
		if l.RatioP50 != nil {
			line("    of %s\t×%s\t×%s", all[0].Name, l.RatioP50, l.RatioP99)
		}
	}
}
