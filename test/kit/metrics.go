package kit

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Metrics are samples in the text format, by their name with labels.
type Metrics map[string]float64

// Scrape reads the metrics that a URL has.
func Scrape(ctx context.Context, url string) (Metrics, error) {
	text, err := Get(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	m := Metrics{}
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

// Sum adds up the samples of a metric, whatever their labels.
func (m Metrics) Sum(name string) float64 {
	total := 0.0
	for sample, value := range m {
		if base, _, _ := strings.Cut(sample, "{"); base == name {
			total += value
		}
	}
	return total
}
