package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
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
