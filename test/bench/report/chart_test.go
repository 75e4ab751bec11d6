package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestChart(t *testing.T) {
	golden(t, "chart.svg", func(b *bytes.Buffer) error { return newReport(t, typical()).WriteChart(b, Place{"loopback", 1}) })
}

func TestChartIsXML(t *testing.T) {
	var b bytes.Buffer
	if err := newReport(t, typical()).WriteChart(&b, Place{"veth", 1}); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(&b); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestChartOfNothing(t *testing.T) {
	var b strings.Builder
	if err := newReport(t, typical()).WriteChart(&b, Place{"veth", 8}); err == nil || b.Len() > 0 {
		t.Errorf("error %v, drawn: %q", err, b.String())
	}
}

// TestChartIsCutOff: a bar or range that leaves the scale ends where the scale does.
func TestChartIsCutOff(t *testing.T) {
	var samples []Sample
	for round, value := range []float64{2, 2, 9} {
		samples = append(samples, Sample{round, HAProxy, "loopback", 1, ConnCPU, 1}, Sample{round, TPA, "loopback", 1, ConnCPU, value},
			Sample{round, Nginx, "loopback", 1, ConnCPU, 2 * value})
	}
	bars := newReport(t, samples).chart(Place{"loopback", 1}).Groups[0].Bars
	for _, c := range []struct {
		figure          string
		width, from, to float64
	}{
		{"2.00", (chartRight - chartLeft) * 2 / 3.0, chartLeft + (chartRight-chartLeft)*2/3.0, chartRight},
		{"4.00", chartRight - chartLeft, 0, 0},
	} {
		b := bars[0]
		bars = bars[1:]
		if b.Figure != c.figure || math.Abs(b.Width-c.width) > 1 || math.Abs(b.From-c.from) > 1 || b.To != c.to {
			t.Errorf("bar %+v, want %+v", b, c)
		}
	}
}
