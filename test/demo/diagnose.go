package main

import (
	"context"
	"strings"
	"time"

	"tpa.dev/tpa/proxy/contract"
)

// diagnose shows what failed, and what may say why.
func (d *demo) diagnose(ctx context.Context, err error) {
	d.fail(err)
	if d.kube == nil {
		return // the cluster itself, which told about it
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	const logLines = 8
	for _, look := range []struct {
		args  []string
		lines func(string) string
	}{
		{[]string{"-n", namespace, "get", "services,deployments,pods,leases"}, whole},
		{[]string{"-n", namespace, "get", "events", "--field-selector=type=Warning,reason!=MissingClusterDNS", "--sort-by=.lastTimestamp",
			"-o=custom-columns=KIND:.involvedObject.kind,NAME:.involvedObject.name,REASON:.reason,MESSAGE:.message"}, last(logLines)},
		{[]string{"-n", namespace, "logs", "-l", contract.SelectorKey + "=" + contract.SelectorValue, "--tail=200"}, notable(logLines)},
		{[]string{"-n", systemNamespace, "get", "pods"}, whole},
		{[]string{"-n", systemNamespace, "logs", "-l", "app.kubernetes.io/component=webhook", "--tail=200"}, notable(logLines)},
	} {
		out, err := quiet(ctx, cluster, append([]string{"kubectl"}, look.args...)...)
		if err != nil {
			out = err.Error()
		}
		d.line("")
		d.command(append([]string{"kubectl"}, look.args...)...)
		d.output(look.lines(out))
	}
}

func whole(text string) string { return text }

func last(n int) func(string) string {
	return func(text string) string { return tail(text, n) }
}

// notable returns the last warnings and errors of a log of TPA's; the end of one that has none.
func notable(n int) func(string) string {
	return func(log string) string {
		var lines []string
		for line := range strings.Lines(log) {
			if !strings.Contains(line, `"level":"info"`) && !strings.Contains(line, `"level":"debug"`) {
				lines = append(lines, line)
			}
		}
		if len(lines) == 0 {
			return tail(log, n)
		}
		return tail(strings.Join(lines, ""), n)
	}
}
