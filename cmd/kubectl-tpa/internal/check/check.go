// Package check looks whether TPA can be installed, and whether it works once it is: with the user's own rights, and without
// changing anything. What it sends to the API server as a trial is sent as a dry run.
package check

import (
	"context"
	"fmt"
	"io"

	"tpa.dev/tpa/cmd/kubectl-tpa/internal/cluster"
)

// Mark is how a check came out.
type Mark string

const (
	Good Mark = "✓"
	Bad  Mark = "✗" // TPA does not work
	Note Mark = "!" // it works, or that could not be found out
)

// Line is what one check found.
type Line struct {
	Mark Mark
	Text string
	// Mend says what to do about it; empty if it is Good.
	Mend string
}

func good(format string, args ...any) Line { return Line{Good, fmt.Sprintf(format, args...), ""} }
func bad(mend, format string, args ...any) Line {
	return Line{Bad, fmt.Sprintf(format, args...), mend}
}
func note(mend, format string, args ...any) Line {
	return Line{Note, fmt.Sprintf(format, args...), mend}
}

// Options say what to look at. All are required.
type Options struct {
	Client *cluster.Client
	// Namespace is TPA's own, Home the user's current one.
	Namespace, Home string
	// Version is this command's.
	Version string
}

// Run makes all checks and prints each as it comes out. It reports whether none was Bad.
func Run(ctx context.Context, o Options, out io.Writer) (bool, error) {
	fine := true
	show := func(lines []Line) error {
		for _, l := range lines {
			fine = fine && l.Mark != Bad
			text := fmt.Sprintf("%s %s\n", l.Mark, l.Text)
			if l.Mend != "" {
				text += fmt.Sprintf("    mend: %s\n", l.Mend)
			}
			if _, err := io.WriteString(out, text); err != nil {
				return err
			}
		}
		return nil
	}
	for _, check := range []func(context.Context, Options) []Line{server, certManager} {
		if err := show(check(ctx, o)); err != nil {
			return false, err
		}
	}
	is, lines := installed(ctx, o)
	if err := show(lines); err != nil || !is {
		return fine, err
	}
	for _, check := range []func(context.Context, Options) []Line{
		configuration, webhook, admitsManaged, admitsOptIn, certificate, versions, proxies, rights,
	} {
		if err := show(check(ctx, o)); err != nil {
			return false, err
		}
	}
	return fine, nil
}
