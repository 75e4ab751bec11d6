package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestFill(t *testing.T) {
	d, err := read("../../manifests/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	w := lately(time.Unix(1_700_000_007, 0), 6*time.Minute)
	if got := w.to.Unix(); got != 1_700_000_005 {
		t.Errorf("the end is at %d, which is no step", got)
	}
	tests := map[string]string{
		`rate(a{namespace=~"$namespace",service=~"$service"}[$__rate_interval])`: `rate(a{namespace=~".*",service=~".*"}[20s])`,
		`increase(a[$__range]) / $__range_s`:                                     `increase(a[360s]) / 360`,
		`a[$__interval]`:                                                         ``,
	}
	for expr, want := range tests {
		if got, err := d.fill(expr, w); got != want || (err == nil) == (want == "") {
			t.Errorf("fill(%s) = %s, %v, want %s", expr, got, err, want)
		}
	}
	queries := 0
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries++
			if _, err := d.fill(target.Expr, w); err != nil {
				t.Errorf("%s: %v", p.Title, err)
			}
		}
	}
	if queries < 30 {
		t.Errorf("only %d queries: this does not read the dashboard", queries)
	}
}

func TestAsk(t *testing.T) {
	asked := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked[q.Get("query")] = r.URL.Path + " " + q.Get("start") + q.Get("time") + " " + q.Get("end") + " " + q.Get("step")
		if q.Get("query") == "bad" {
			http.Error(w, "parse error", http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, `{"status":"success","data":{"version":"2.42.0","result":[{"metric":{},"values":[[1,%q]]}]}}`, q.Get("query"))
	}))
	defer server.Close()
	var d dashboard
	const text = `{"panels":[{"id":7,"title":"Open","targets":[{"refId":"A","expr":"one"},{"refId":"B","expr":"two","instant":true}]}]}`
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	w := window{time.Unix(100, 0), time.Unix(160, 0)}
	a, err := d.ask(t.Context(), server.URL, w)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(a.Panels[7]["B"]), `[{"metric":{},"values":[[1,"two"]]}]`; got != want {
		t.Errorf("the answer is %s, want %s", got, want)
	}
	if a.Source != "Prometheus 2.42.0, which scraped every 5s" || a.From != 100 || a.To != 160 {
		t.Errorf("%+v", a)
	}
	want := map[string]string{"": asked[""], "one": "/api/v1/query_range 100 160 5", "two": "/api/v1/query 160  "}
	if !maps.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	d.Panels[0].Targets[0].Expr = "bad"
	if _, err := d.ask(t.Context(), server.URL, w); err == nil || !strings.Contains(err.Error(), `"Open"`) {
		t.Errorf("a query that fails: %v", err)
	}
}
