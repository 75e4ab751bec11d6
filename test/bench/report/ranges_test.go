package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	samples := []Sample{
		{1, TPA, "loopback", 1, BulkCPU, 6}, {1, HAProxy, "loopback", 1, BulkCPU, 10},
		{1, TPA, "veth", 2, IdleFDs, 2}, {1, "tpa-other", "veth", 2, IdleFDs, 9},
	}
	for _, c := range []struct {
		name   string
		ranges Ranges
		want   []string
	}{
		{"within", Ranges{"loopback, 1 CPU": {"bulk": {0.6, 0.7}}, "veth, 2 CPUs": {"idle-fds": {2, 2}}}, nil},
		{
			"above and below", Ranges{"loopback, 1 CPU": {"bulk": {0.4, 0.55}}, "veth, 2 CPUs": {"idle-fds": {3, 6}}},
			[]string{
				"loopback, 1 CPU: bulk is 0.60, accepted are 0.40 to 0.55", "veth, 2 CPUs: idle-fds is 2.00, accepted are 3.00 to 6.00",
			},
		}, {
			"new figure", Ranges{"loopback, 1 CPU": {"bulk": {0.5, 0.7}}},
			[]string{"veth, 2 CPUs: idle-fds is 2.00, and no range is accepted yet"},
		}, {
			"gone", Ranges{
				"loopback, 1 CPU": {"bulk": {0.5, 0.7}, "conn": {1, 2}}, "veth, 2 CPUs": {"idle-fds": {2, 2}},
				"loopback, 2 CPUs": {"bulk": {0.5, 0.7}},
			},
			[]string{"loopback, 1 CPU: conn was not measured"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, want := "", strings.Join(c.want, "\n")
			if err := newReport(t, samples).Check(c.ranges); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestReadRanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ranges.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"loopback, 1 CPU": {"bulk": [0.4, 0.65]}}`)
	ranges, err := ReadRanges(path)
	if err != nil || ranges["loopback, 1 CPU"]["bulk"] != (Range{0.4, 0.65}) {
		t.Errorf("%v, %v", ranges, err)
	}
	write(`{"loopback, 1 CPU": {"bulk": 0.65}}`)
	if _, err := ReadRanges(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is none: %v, %v", ranges, err)
	}
	if _, err := ReadRanges(path + ".none"); err == nil {
		t.Error("no file: no error")
	}
}
