package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	prom "github.com/prometheus/client_golang/api/prometheus/v1"
)

// dashboard is what of dashboard.json matters to who asks.
type dashboard struct {
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name     string `json:"name"`
			AllValue string `json:"allValue"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID      int    `json:"id"`
	Title   string `json:"title"`
	Targets []struct {
		RefID   string `json:"refId"`
		Expr    string `json:"expr"`
		Instant bool   `json:"instant"`
	} `json:"targets"`
}

// answers are what draw.sh draws.
type answers struct {
	From   int64  `json:"from"` // Unix time, in s
	To     int64  `json:"to"`
	Step   int64  `json:"step"`   // in s
	Source string `json:"source"` // who answered
	// Panels has the result of each query as Prometheus sends it, by the panel's ID and the query's refId.
	Panels map[int]map[string]any `json:"panels"`
}

func read(name string) (dashboard, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return dashboard{}, err
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		return d, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

// lately is the time before now, on steps as Grafana's are: of the interval of scrapes, while that leaves a panel no more
// points than it has pixels.
func lately(now time.Time, last time.Duration) prom.Range {
	end := now.Truncate(interval)
	return prom.Range{Start: end.Add(-last.Truncate(interval)), End: end, Step: interval}
}

// fill puts in place of Grafana's variables what it does when everything is chosen.
func (d dashboard) fill(expr string, r prom.Range) (string, error) {
	seconds := int(r.End.Sub(r.Start).Seconds())
	pairs := []string{
		"$__rate_interval", (4 * interval).String(),
		"$__range_s", fmt.Sprint(seconds),
		"$__range", fmt.Sprintf("%ds", seconds),
	}
	for _, v := range d.Templating.List {
		if v.AllValue != "" {
			pairs = append(pairs, "$"+v.Name, v.AllValue)
		}
	}
	filled := strings.NewReplacer(pairs...).Replace(expr)
	if strings.Contains(filled, "$") {
		return "", fmt.Errorf("%s: a variable that is not known", filled)
	}
	return filled, nil
}

// ask asks the Prometheus at a URL what the panels ask.
func (d dashboard) ask(ctx context.Context, url string, r prom.Range) (answers, error) {
	c, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		return answers{}, err
	}
	server := prom.NewAPI(c)
	build, err := server.Buildinfo(ctx)
	if err != nil {
		return answers{}, fmt.Errorf("version of Prometheus: %w", err)
	}
	a := answers{
		From: r.Start.Unix(), To: r.End.Unix(), Step: int64(r.Step.Seconds()),
		Source: fmt.Sprintf("Prometheus %s, which scraped every %s", build.Version, interval), Panels: map[int]map[string]any{},
	}
	var failed []error
	for _, p := range d.Panels {
		a.Panels[p.ID] = map[string]any{}
		for _, t := range p.Targets {
			expr, err := d.fill(t.Expr, r)
			if err == nil && t.Instant {
				a.Panels[p.ID][t.RefID], _, _, err = server.Query(ctx, expr, r.End)
			} else if err == nil {
				a.Panels[p.ID][t.RefID], _, _, err = server.QueryRange(ctx, expr, r)
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("panel %q: %w", p.Title, err))
			}
		}
	}
	return a, errors.Join(failed...)
}
