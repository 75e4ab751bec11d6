//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
)

// told waits until people can read on a Service what is to be known about it, whatever they look with, and returns how often
// it is said.
func (f *fixture) told(service, reason, text string) int {
	f.Helper()
	f.wait("an event "+reason+" on service "+service, func(ctx context.Context) (bool, string) {
		out, err := f.kubectl("", "events", "--for", "service/"+service, "--types=Warning")
		return err == nil && strings.Contains(out.Stdout, reason), fmt.Sprint(out.Stdout, err)
	})
	times := 0
	for _, args := range [][]string{{"events", "--for", "service/" + service}, {"describe", "service", service}} {
		out, err := f.kubectl("", args...)
		f.must(err)
		if !strings.Contains(out.Stdout, text) {
			f.Errorf("kubectl %s does not say: %s\n%s", strings.Join(args, " "), text, out.Stdout)
		}
		times = max(times, strings.Count(out.Stdout, reason))
	}
	return times
}

// toldOnce is told, of what all proxies say together once.
func (f *fixture) toldOnce(service, reason, text string) {
	f.Helper()
	if times := f.told(service, reason, text); times != 1 {
		f.Errorf("%s is said %d times on service %s", reason, times, service)
	}
}
