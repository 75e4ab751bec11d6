package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tpa.dev/tpa/test/bench/report"
)

func TestFlagsAreRead(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		get  func(options) any
		want any
	}{
		{"", func(o options) any { return o.builds }, []build{{"tpa", "bin/proxy"}}},
		{"--proxy=a/b", func(o options) any { return o.builds }, []build{{"tpa", filepath.Join(here, "a/b")}}},
		{
			"--proxy=old=/a --proxy=new=/b", func(o options) any { return o.builds },
			[]build{{"tpa-old", "/a"}, {"tpa-new", "/b"}},
		},
		{"--arms=haproxy,direct", func(o options) any { return o.anchors }, []string{report.HAProxy, report.Direct}},
		{"--links=veth", func(o options) any { return o.links }, []string{veth}},
		{"--cpus=1", func(o options) any { return o.cpus }, []int{1}},
		{"--metrics=rr-cpu", func(o options) any { return len(o.stepsWanted()) }, 1},
		{"--metrics=rr-cpu", func(o options) any { return o.wants(idleMetrics) }, false},
		{"--metrics=idle-fds,bulk-cpu,bulk-cpu-all", func(o options) any { return len(o.stepsWanted()) }, 1},
		{"--metrics=idle-fds", func(o options) any { return o.wants(idleMetrics) }, true},
	} {
		o, err := parse(strings.Fields(c.args))
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		if got := c.get(o); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.args, got, c.want)
		}
	}
}

func TestBadFlagsAreNamed(t *testing.T) {
	for args, named := range map[string]string{
		"--arms=envoy":                  `"envoy"`,
		"--metrics=rr-cup":              `"rr-cup"`,
		"--links=loopback,ether":        `"ether"`,
		"--cpus=0":                      `"0"`,
		"--cpus=100000":                 `"100000"`,
		"--proxy=/a --proxy=/b":         "tpa",
		"--proxy=new=/a --proxy=new=/b": "tpa-new",
		"--rounds=0":                    "0 rounds",
		"fast":                          `"fast"`,
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("%s: %v, want an error that names %s", args, err, named)
		}
	}
}
