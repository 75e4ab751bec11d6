package balance

import (
	"testing"
	"time"
)

func TestGauge(t *testing.T) {
	start := time.Unix(0, 0)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	var g gauge
	g.add(1, at(0))
	g.reset(at(10))
	if mean := g.mean(at(15)); mean != 1 {
		t.Errorf("mean %v of a connection that was open before and stays, want 1", mean)
	}
	g.add(1, at(15))
	g.add(1, at(16))
	g.add(-1, at(18))
	g.add(-1, at(19)) // 5×1 + 1×2 + 2×3 + 1×2 + 1×1
	if mean := g.mean(at(20)); mean != 1.6 {
		t.Errorf("mean %v, want 1.6", mean)
	}
	if g.open != 1 {
		t.Errorf("%d open, want 1", g.open)
	}
}
