package controller

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
)

func TestNextPhase(t *testing.T) {
	const p, a, r = contract.Pending, contract.Active, contract.Restoring
	for _, tt := range []struct {
		facts
		covered bool
		want    contract.Phase
		asks    bool // whether it asks if the Service is covered, which wakes its targets
	}{
		{facts: facts{Phase: p, Wanted: true}, want: p},
		{facts: facts{Phase: p, Wanted: true, Served: true}, want: a},
		{facts: facts{Phase: p, Wanted: true, Served: true, Deserted: true}, want: p},
		{facts: facts{Phase: p}, want: ""},
		{facts: facts{Phase: p, Served: true}, want: ""},
		{facts: facts{Phase: a, Wanted: true}, want: a},
		{facts: facts{Phase: a, Wanted: true, Served: true}, want: a},
		{facts: facts{Phase: a}, want: r},
		{facts: facts{Phase: a, Deserted: true}, covered: true, want: r},
		{facts: facts{Phase: a, Wanted: true, Deserted: true}, want: a, asks: true},
		{facts: facts{Phase: a, Wanted: true, Deserted: true}, covered: true, want: p, asks: true},
		{facts: facts{Phase: r, Wanted: true}, want: a},
		{facts: facts{Phase: r}, want: r, asks: true},
		{facts: facts{Phase: r}, covered: true, want: "", asks: true},
		{facts: facts{Phase: "Odd", Wanted: true}, want: "Odd"},
	} {
		asked := false
		got := nextPhase(tt.facts, func() bool { asked = true; return tt.covered })
		if got != tt.want || asked != tt.asks {
			t.Errorf("%+v, covered %t: %q, asked %t; want %q, %t", tt.facts, tt.covered, got, asked, tt.want, tt.asks)
		}
	}
}

func TestDisjoint(t *testing.T) {
	type m = map[string]string
	for _, tt := range []struct {
		a, b m
		want bool
	}{
		{m{"app": "web"}, m{"app": "web"}, false},
		{m{"app": "web"}, m{"app": "db"}, true},
		{m{"app": "web"}, m{"tier": "db"}, false},
		{m{"app": "web", "tier": "front"}, m{"app": "web", "tier": "back"}, true},
		{m{"app": "web"}, nil, false},
		{nil, nil, false},
	} {
		if got := disjoint(tt.a, tt.b); got != tt.want || disjoint(tt.b, tt.a) != got {
			t.Errorf("%v, %v: %t", tt.a, tt.b, got)
		}
	}
}

func TestRecord(t *testing.T) {
	var empty record
	if empty.String() != "" {
		t.Errorf("nothing is %q", empty)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	r := record{Unused: now, Deserted: now, Asides: 3, AsideAt: now}
	if at := r.since("u", now); at != now || r.since("u", now.Add(time.Hour)) != now {
		t.Error("a wait begins anew")
	}
	if got := parseRecord(r.String()); got.String() != r.String() || !got.Restoring[types.UID("u")].Equal(now) {
		t.Errorf("%s became %s", r, got)
	}
	for _, s := range []string{"", "{", `{"unused":7}`, "null", "[]"} {
		if got := parseRecord(s); got.String() != "" {
			t.Errorf("%q is %s", s, got)
		}
	}
	copied := r.clone()
	delete(copied.Restoring, "u")
	if len(r.Restoring) != 1 {
		t.Error("a copy shares its map")
	}
}

func TestBackoff(t *testing.T) {
	want := []time.Duration{30 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute}
	for n, d := range want {
		if got := backoff(30*time.Second, n); got != d {
			t.Errorf("after %d times: %s, want %s", n, got, d)
		}
	}
	if got := backoff(30*time.Second, 1000); got != asideBackoffMax {
		t.Errorf("at most %s", got)
	}
}

func TestPollAfter(t *testing.T) {
	for waited, want := range map[time.Duration]time.Duration{
		0: 500 * time.Millisecond, 4 * time.Second: time.Second, time.Hour: 5 * time.Second,
	} {
		if got := pollAfter(waited); got != want {
			t.Errorf("after %s: %s, want %s", waited, got, want)
		}
	}
}
