package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"tpa.dev/tpa/test/kit"
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
	Panels map[int]map[string]json.RawMessage `json:"panels"`
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

// window is a time that is shown, on steps of interval, as Grafana's are while a panel has no more points than pixels.
type window struct{ from, to time.Time }

// lately is the time before now.
func lately(now time.Time, last time.Duration) window {
	to := now.Truncate(interval)
	return window{to.Add(-last.Truncate(interval)), to}
}

// fill puts in place of Grafana's variables what it does when everything is chosen.
func (d dashboard) fill(expr string, w window) (string, error) {
	seconds := int(w.to.Sub(w.from).Seconds())
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
func (d dashboard) ask(ctx context.Context, server string, w window) (answers, error) {
	var build struct{ Version string }
	if err := get(ctx, server+"/api/v1/status/buildinfo", &build); err != nil {
		return answers{}, err
	}
	a := answers{
		From: w.from.Unix(), To: w.to.Unix(), Step: int64(interval.Seconds()),
		Source: fmt.Sprintf("Prometheus %s, which scraped every %s", build.Version, interval),
		Panels: map[int]map[string]json.RawMessage{},
	}
	var failed []error
	for _, p := range d.Panels {
		a.Panels[p.ID] = map[string]json.RawMessage{}
		for _, t := range p.Targets {
			expr, err := d.fill(t.Expr, w)
			if err == nil {
				a.Panels[p.ID][t.RefID], err = query(ctx, server, expr, t.Instant, w)
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("panel %q: %w", p.Title, err))
			}
		}
	}
	return a, errors.Join(failed...)
}

// query asks for an expression at the window's end, or at each of its steps.
func query(ctx context.Context, server, expr string, instant bool, w window) (json.RawMessage, error) {
	path, values := "/api/v1/query_range?", url.Values{
		"query": {expr}, "start": {fmt.Sprint(w.from.Unix())}, "end": {fmt.Sprint(w.to.Unix())}, "step": {fmt.Sprint(interval.Seconds())},
	}
	if instant {
		path, values = "/api/v1/query?", url.Values{"query": {expr}, "time": values["end"]}
	}
	var data struct{ Result json.RawMessage }
	err := get(ctx, server+path+values.Encode(), &data)
	return data.Result, err
}

// get reads the data of an answer.
func get(ctx context.Context, url string, data any) error {
	text, err := kit.Get(ctx, url)
	if err == nil {
		err = json.Unmarshal(text, &struct{ Data any }{data})
	}
	if err != nil {
		return fmt.Errorf("prometheus: %w", err)
	}
	return nil
}
