package report

import (
	"bytes"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tpa.dev/tpa/test/stat"
)

var update = flag.Bool("update", false, "write the golden files anew")

// typical are samples as a run on a small machine yields them.
func typical() []Sample {
	arms := []string{Direct, HAProxy, HAProxyTuned, Nginx, TPA}
	medians := map[string][5]float64{ // NaN: not measured
		BulkCPU:       {math.NaN(), 571, 262, 704, 301},
		BulkCPUAll:    {610, 1185, 872, 1320, 913},
		Bulk200CPU:    {math.NaN(), 590, 540, 731, 362},
		Bulk200CPUAll: {655, 1240, 1175, 1391, 1004},
		RRP50:         {16.1, 29.8, 29.9, 28.4, 30.7},
		RRCPU:         {math.NaN(), 9.2, 9.3, 8.4, 10.1},
		RRCPUAll:      {14.2, 24.1, 24.2, 23.0, 25.3},
		OpenP99:       {61, 148, 151, 139, 171},
		OpenP999:      {180, 402, 410, 377, 533},
		ConnCPU:       {math.NaN(), 45.1, 45.8, 51.2, 61.3},
		ConnCPUAll:    {82.4, 141, 142, 150, 161},
		IdleMem:       {math.NaN(), 6.7, 6.7, 5.9, 4.1},
		IdleMemOwn:    {math.NaN(), 3.3, 3.3, 2.4, 0.8},
		IdleFDs:       {math.NaN(), 2, 2, 2, 2},
		EmptyPSS:      {math.NaN(), 13.1, 13.4, 3.9, 22.7},
		AloneP99:      {24, 47, 47, 45, 49},
		BesideP99:     {480, 1430, 690, 5400, 1390},
		HeldTime:      {401, math.NaN(), math.NaN(), math.NaN(), 552},
		HeldMem:       {math.NaN(), math.NaN(), math.NaN(), math.NaN(), 7.9},
		HeldMemOwn:    {math.NaN(), math.NaN(), math.NaN(), math.NaN(), 5.2},
		HeldLost:      {math.NaN(), math.NaN(), math.NaN(), math.NaN(), 0},
		Balance:       {math.NaN(), 1.31, math.NaN(), math.NaN(), 1.45},
	}
	random := rand.New(rand.NewPCG(4, 2))
	var samples []Sample
	for _, place := range []Place{{"veth", 1}, {"loopback", 1}, {"loopback", 2}} {
		for round := range 7 {
			for _, metric := range Metrics {
				for i, arm := range arms {
					value := medians[metric.Name][i]
					if metric.Unit != "" || metric.Name == Balance {
						value *= 1 + 0.05*random.NormFloat64()
					}
					if !math.IsNaN(value) {
						samples = append(samples, Sample{round, arm, place.Link, place.CPUs, metric.Name, value})
					}
				}
			}
		}
	}
	return samples
}

func newReport(t *testing.T, samples []Sample) *Report {
	t.Helper()
	r, err := New(4, map[string]string{"kernel": "6.1.0", "cpu": "Example CPU", "haproxy": "2.6.12"}, samples)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// golden compares with a file of testdata.
func golden(t *testing.T, name string, write func(*bytes.Buffer) error) {
	t.Helper()
	var got bytes.Buffer
	if err := write(&got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got); go test -update writes it anew:\n%s", path, diff)
	}
}

func TestTable(t *testing.T) {
	golden(t, "table.txt", func(b *bytes.Buffer) error { return newReport(t, typical()).WriteTable(b) })
}

func TestTableFitsATerminal(t *testing.T) {
	var b strings.Builder
	if err := newReport(t, typical()).WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestFigures(t *testing.T) {
	bulk := func(round int, arm string, value float64) Sample {
		return Sample{round, arm, "loopback", 1, BulkCPU, value}
	}
	of := func(s Sample, metric string) Sample { s.Metric = metric; return s }
	for _, c := range []struct {
		name        string
		samples     []Sample
		arm, target string
		want        *stat.Spread
		rounds      int
		verdict     Verdict
	}{
		{
			// The medians' ratio is 2; that of the rounds' ratios is not.
			name: "median of ratios, not ratio of medians",
			samples: []Sample{
				bulk(1, TPA, 1), bulk(1, HAProxy, 10), bulk(2, TPA, 2), bulk(2, HAProxy, 1), bulk(3, TPA, 3), bulk(3, HAProxy, 0.5),
				bulk(4, TPA, 2), bulk(4, HAProxy, 20), bulk(5, TPA, 2), bulk(5, HAProxy, 20),
			},
			arm: TPA, target: "bulk", want: &stat.Spread{Median: 0.1, Min: 0.1, Max: 6}, rounds: 5, verdict: MetAim,
		}, {
			name: "against its own metric",
			samples: []Sample{
				bulk(1, TPA, 100), of(bulk(1, TPA, 120), Bulk200CPU), bulk(2, TPA, 100), of(bulk(2, TPA, 130), Bulk200CPU),
			},
			arm: TPA, target: "bulk200", want: &stat.Spread{Median: 1.25, Min: 1.2, Max: 1.3}, rounds: 2, verdict: MetMust,
		}, {
			name: "quotient of quotients",
			samples: []Sample{
				of(bulk(1, TPA, 90), BesideP99), of(bulk(1, TPA, 30), AloneP99),
				of(bulk(1, HAProxy, 80), BesideP99), of(bulk(1, HAProxy, 40), AloneP99),
			},
			arm: TPA, target: "beside", want: &stat.Spread{Median: 1.5, Min: 1.5, Max: 1.5}, rounds: 1, verdict: Missed,
		}, {
			name:    "as it is",
			samples: []Sample{of(bulk(1, TPA, 0), HeldLost), of(bulk(2, TPA, 0), HeldLost), of(bulk(3, TPA, 1), HeldLost)},
			arm:     TPA, target: "held-lost", want: &stat.Spread{Median: 0, Min: 0, Max: 1}, rounds: 3, verdict: MetAim,
		}, {
			name:    "an aim without a must",
			samples: []Sample{bulk(1, TPA, 2), bulk(1, HAProxyTuned, 1)},
			arm:     TPA, target: "bulk-tuned", want: &stat.Spread{Median: 2, Min: 2, Max: 2}, rounds: 1, verdict: MissedAim,
		}, {
			name:    "a variant is judged",
			samples: []Sample{bulk(1, "tpa-splice", 2), bulk(1, HAProxy, 1)},
			arm:     "tpa-splice", target: "bulk", want: &stat.Spread{Median: 2, Min: 2, Max: 2}, rounds: 1, verdict: Missed,
		}, {
			name:    "others are not",
			samples: []Sample{bulk(1, Nginx, 2), bulk(1, HAProxy, 1)},
			arm:     Nginx, target: "bulk", want: &stat.Spread{Median: 2, Min: 2, Max: 2}, rounds: 1,
		}, {
			name:    "a round without the reference does not count",
			samples: []Sample{bulk(1, TPA, 1), bulk(2, TPA, 1), bulk(2, HAProxy, 2), bulk(3, TPA, 1), bulk(3, HAProxy, 0)},
			arm:     TPA, target: "bulk", want: &stat.Spread{Median: 0.5, Min: 0.5, Max: 0.5}, rounds: 1, verdict: MetAim,
		}, {
			name:    "another place is no reference",
			samples: []Sample{bulk(1, TPA, 1), {1, HAProxy, "veth", 1, BulkCPU, 1}, {1, HAProxy, "loopback", 2, BulkCPU, 1}},
			arm:     TPA, target: "bulk",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got *Row
			for _, row := range newReport(t, c.samples).Rows {
				if row.Arm == c.arm && row.Name == c.target {
					got = &row
				}
			}
			if c.want == nil {
				if got != nil {
					t.Errorf("a row: %+v", got)
				}
				return
			}
			if got == nil {
				t.Fatal("no row")
			}
			if got.Spread != *c.want || got.Rounds != c.rounds || got.Verdict != c.verdict {
				t.Errorf("%v of %d rounds, %q; want %v of %d, %q", got.Spread, got.Rounds, got.Verdict, c.want, c.rounds, c.verdict)
			}
		})
	}
}

func TestRefusesSamples(t *testing.T) {
	good := Sample{1, TPA, "loopback", 1, BulkCPU, 1}
	for name, bad := range map[string]Sample{
		"twice":         good,
		"unknown":       {1, TPA, "loopback", 1, "bulk-cup", 1},
		"not a number":  {2, TPA, "loopback", 1, BulkCPU, math.NaN()},
		"without bound": {2, TPA, "loopback", 1, BulkCPU, math.Inf(1)},
	} {
		if _, err := New(1, nil, []Sample{good, bad}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
