package main

import (
	"testing"
	"time"
)

func TestFill(t *testing.T) {
	d, err := read("../../manifests/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	r := lately(time.Unix(1_700_000_007, 0), 6*time.Minute)
	if got := r.End.Unix(); got != 1_700_000_005 {
		t.Errorf("the end is at %d, which is no step", got)
	}
	tests := map[string]string{
		`rate(a{namespace=~"$namespace",service=~"$service"}[$__rate_interval])`: `rate(a{namespace=~".*",service=~".*"}[20s])`,
		`increase(a[$__range]) / $__range_s`:                                     `increase(a[360s]) / 360`,
		`a[$__interval]`:                                                         ``,
	}
	for expr, want := range tests {
		if got, err := d.fill(expr, r); got != want || (err == nil) == (want == "") {
			t.Errorf("fill(%s) = %s, %v, want %s", expr, got, err, want)
		}
	}
	queries := 0
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries++
			if _, err := d.fill(target.Expr, r); err != nil {
				t.Errorf("%s: %v", p.Title, err)
			}
		}
	}
	if queries < 30 {
		t.Errorf("only %d queries: this does not read the dashboard", queries)
	}
}
