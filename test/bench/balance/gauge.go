package balance

import "time"

// gauge is how many connections are open, and what that was on average since reset.
type gauge struct {
	open    int
	changed time.Time
	area    time.Duration // connections × time
	began   time.Time
}

func (g *gauge) add(n int, now time.Time) {
	g.area += time.Duration(g.open) * now.Sub(g.changed)
	g.changed = now
	g.open += n
}

// reset begins anew, with the connections that are open.
func (g *gauge) reset(now time.Time) {
	*g = gauge{open: g.open, changed: now, began: now}
}

func (g *gauge) mean(now time.Time) float64 {
	g.add(0, now)
	return float64(g.area) / float64(now.Sub(g.began))
}
