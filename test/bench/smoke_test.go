//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"tpa.dev/tpa/test/bench/report"
	"tpa.dev/tpa/test/bench/sandbox"
)

// TestMain lets this program start itself in its roles.
func TestMain(m *testing.M) {
	if program().InRole() {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestAllIsMeasured runs each measurement once, as briefly as that goes: every metric has a sample for each arm that it is
// of, which also says that every answer was right. Times are for a longer run.
func TestAllIsMeasured(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	err := sandbox.Run(t.Context(), sandbox.Inside,
		"--proxy=../../bin/proxy", "--links=loopback", "--cpus=1", "--rounds=1", "--slice=250ms", "--idle=100", "--quiet=100ms",
		"--json="+file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, s := range r.Samples {
		got[fmt.Sprintf("%s of %s", s.Metric, s.Arm)] = true
	}
	for _, metric := range report.Metrics {
		for _, arm := range measuredOf(metric.Name) {
			if name := fmt.Sprintf("%s of %s", metric.Name, arm); !got[name] {
				t.Errorf("no sample of %s", name)
			} else {
				delete(got, name)
			}
		}
	}
	for name := range got {
		t.Errorf("a sample of %s, which means nothing", name)
	}
}

// measuredOf are the arms that a metric is of.
func measuredOf(metric string) []string {
	proxies := []string{report.HAProxy, report.HAProxyTuned, report.Nginx, report.TPA}
	switch metric {
	case report.BulkCPU, report.Bulk200CPU, report.RRCPU, report.ConnCPU,
		report.IdleMem, report.IdleMemOwn, report.IdleFDs, report.EmptyPSS:
		return proxies // there is no proxy in a direct connection
	case report.HeldTime:
		return []string{report.Direct, report.TPA}
	case report.HeldLost, report.HeldMem, report.HeldMemOwn:
		return []string{report.TPA} // nobody else holds
	case report.Balance:
		return []string{report.HAProxy, report.TPA}
	default:
		return append(proxies, report.Direct)
	}
}
