package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
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

// conntrack is what the client's node remembers of a connection: among that, where it was led to. Of one that has ended
// it forgets that after some 10 s.
func conntrack(c connection) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := c.from.Run(ctx, "", "conntrack", "-L", "-p", "tcp", "--orig-dst", host(c.to), "--orig-port-src", fmt.Sprint(c.port))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(out.Stdout)
}

var source = regexp.MustCompile(`src=(\S+)`)

// translated is the address that a connection was led to: where the answers come from.
func translated(entry string) string {
	sources := source.FindAllStringSubmatch(entry, -1)
	if len(sources) < 2 {
		return ""
	}
	return sources[1][1]
}
