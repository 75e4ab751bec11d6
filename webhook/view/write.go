package view

import (
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"
)

// maxEvents is how many Events an explanation shows.
const maxEvents = 5

// Write writes the explanation for a person.
func (e Explanation) Write(out io.Writer) error {
	w := printers.GetNewTabWriter(out)
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) } // the writer keeps its error for Flush
	line("Name:\t%s", e.Name)
	line("Namespace:\t%s", e.Namespace)
	line("Target:\t%s", orNone(e.TargetNames()))
	line("Phase:\t%s", orNone(string(e.Phase)))
	line("State:\t%s", e.stateText())
	line("Ready:\t%s", e.readyText())
	line("Connections:\t%s", e.connectionsText())
	line("Idle for:\t%s", e.idleText())
	line("Sleeps in:\t%s", e.sleepsText())
	line("Proxies:\t%s", e.proxiesText())
	if e.History != nil {
		line("History:\t%s, %s, asleep for %s; last wake: %s", count(int(e.History.Sleeps), "sleep"), count(int(e.History.Wakes), "wake"),
			e.asleepText(), e.lastWakeText())
		if last := e.History.LastWake; last != nil && last.From != "" {
			line("Woken by:\ta connection from %s to Service %s", last.From, last.Service)
		}
	}
	if e.observedText() != none {
		line("Observed:\t%s, %.1f replica-hours saved, if TPA had done more than observe", e.observedText(), e.History.Observed.Saved.Replicas/3600)
	}
	line("")
	line("SETTING\tVALUE\tFROM")
	for _, s := range e.Settings {
		line("%s\t%s\t%s", s.Key, s.Value, s.From)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return e.writeReasons(out)
}

func (e Explanation) writeReasons(out io.Writer) error {
	var b strings.Builder
	if len(e.Why) > 0 {
		fmt.Fprintf(&b, "\n%s\n", e.Heading())
		for _, why := range e.Why {
			fmt.Fprintf(&b, "  %s\n", why)
		}
	}
	if len(e.Problems) > 0 {
		b.WriteString("\nProblems:\n")
	}
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "  %s\n", p.What)
		if p.Mend != "" {
			fmt.Fprintf(&b, "    try: %s\n", p.Mend)
		}
	}
	if len(e.Unread) > 0 {
		fmt.Fprintf(&b, "\nNot shown, because you may not read it: %s\n", strings.Join(e.Unread, ", "))
	}
	if len(e.Events) > 0 {
		b.WriteString("\nEvents:\n")
	}
	for _, event := range e.Events[:min(len(e.Events), maxEvents)] {
		fmt.Fprintf(&b, "  %s ago  %s  %s\n", duration.HumanDuration(e.now.Sub(event.At)), event.Reason, event.Note)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// Heading is the question that Why answers.
func (e Explanation) Heading() string {
	switch e.State {
	case Awake, PartlyAsleep:
		return "Why it is awake:"
	case Waking:
		return "Why it is not ready:"
	case Unknown, Missing:
		return "What is known:"
	}
	return fmt.Sprintf("Why it is %s:", strings.ToLower(string(e.State)))
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}
