package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"tpa.dev/tpa/test/kit"
)

// before is how long before a connection its evidence begins.
const before = 5 * time.Second

// tell prints a connection that was not answered well, with what is known of it.
func (f *fleet) tell(ctx context.Context, out io.Writer, w *watch, c connection) {
	var b strings.Builder
	fmt.Fprintln(&b, c)
	fmt.Fprintf(&b, "  conntrack of %s: %s\n  through %q %s\n", c.from.Name, c.tracked, c.via, w.placeOf(c.via))
	b.WriteString(w.history(c.service.targets, c.begun.Add(-before)))
	pods, err := f.proxyPods(ctx)
	if err != nil {
		fmt.Fprintf(&b, "  %v\n", err)
	}
	for _, pod := range pods {
		log, err := f.Log(ctx, &pod, c.begun.Add(-before))
		if err != nil {
			fmt.Fprintf(&b, "  %v\n", err)
		}
		for line := range strings.Lines(log) {
			if about(line, c.service) {
				fmt.Fprintf(&b, "  %s: %s", kit.Describe(&pod), line)
			}
		}
	}
	fmt.Fprint(out, b.String())
}

// about reports whether a proxy's log line is about a Service or its targets, or about none in particular.
func about(line string, s service) bool {
	if !strings.Contains(line, `"target":`) && !strings.Contains(line, `"service":`) {
		return true
	}
	for _, name := range append([]string{s.name}, s.targets...) {
		if strings.Contains(line, name+`"`) {
			return true
		}
	}
	return false
}
