package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"tpa.dev/tpa/test/kit"
)

// metrics are samples in the text format, by their name with labels.
type metrics map[string]float64

func (p *process) scrape(ctx context.Context) (metrics, error) {
	text, err := kit.Get(ctx, "http://"+p.metrics+"/metrics")
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", p.program, err)
	}
	m := metrics{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, ok := cutLast(lines.Text())
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			m[name] = v
		}
	}
	return m, nil
}

func cutLast(line string) (before, after string, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return line, "", false
	}
	return line[:i], line[i+1:], true
}

// sum adds up the samples of a metric, whatever their labels.
func (m metrics) sum(name string) float64 {
	total := 0.0
	for sample, value := range m {
		if base, _, _ := strings.Cut(sample, "{"); base == name {
			total += value
		}
	}
	return total
}

func (m metrics) leads() bool { return m.sum("leader_election_master_status") == 1 }

// idle reports whether each namespace has been looked at and none waits for it.
func (m metrics) idle(namespaces int) bool {
	return m.leads() && m.sum("workqueue_depth") == 0 && m.sum("controller_runtime_active_workers") == 0 &&
		m.sum("controller_runtime_reconcile_total") >= float64(namespaces)
}
