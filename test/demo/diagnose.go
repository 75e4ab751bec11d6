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
	const end = "--tail=15"
	for _, args := range [][]string{
		{"-n", namespace, "get", "services,deployments,pods,leases"},
		{"-n", namespace, "get", "events", "--sort-by=.lastTimestamp",
			"-o=custom-columns=AT:.lastTimestamp,KIND:.involvedObject.kind,NAME:.involvedObject.name,REASON:.reason,MESSAGE:.message"},
		{"-n", namespace, "logs", "-l", contract.SelectorKey + "=" + contract.SelectorValue, end},
		{"-n", systemNamespace, "get", "pods"},
		{"-n", systemNamespace, "logs", "-l", "app.kubernetes.io/component=webhook", end},
	} {
		out, err := quiet(ctx, cluster, append([]string{"kubectl"}, args...)...)
		if err != nil {
			out = err.Error()
		}
		d.line("")
		d.line(indent + d.paint(dim, "$ kubectl "+strings.Join(args, " ")))
		d.output(tail(out, 40))
	}
}
