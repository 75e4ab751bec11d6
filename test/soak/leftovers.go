package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// leftovers looks for connections that proxies still have although no client has one.
func (f *fleet) leftovers(ctx context.Context) error {
	return kit.Wait(ctx, time.Minute, "proxies to have no connection", func(ctx context.Context) (bool, string) {
		pods, err := f.proxyPods(ctx)
		if err != nil {
			return false, err.Error()
		}
		for _, pod := range pods {
			address := net.JoinHostPort(pod.Status.PodIP, fmt.Sprint(contract.AdminPort))
			metrics, err := kit.Get(ctx, "http://"+address+"/metrics")
			if err != nil {
				return false, err.Error()
			}
			for line := range strings.Lines(string(metrics)) {
				name, _, _ := strings.Cut(line, "{")
				open := name == "tpa_connections_active" || name == "tpa_connections_held"
				if open && !strings.HasSuffix(line, " 0\n") {
					return false, pod.Name + ": " + strings.TrimSpace(line)
				}
			}
		}
		return true, ""
	})
}
