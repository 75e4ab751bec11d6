package status

import "time"

// Of the chart's picture, in its own units, which are stretched to what room there is.
const (
	barStep   = 10.0
	barWidth  = 8.0
	barHeight = 60.0
	// barLeast is the height of a bar that is not 0.
	barLeast = 2.0
)

// chart is a bar for each hour.
type chart struct {
	Since time.Time
	// All is the sum, Most the highest.
	All, Most     int64
	Width, Height float64
	Bars          []bar
}

type bar struct {
	Hour
	X, Y, Width, Height float64
	// Name is said of some hours only: there is no room for all.
	Name string
}

func newChart(w *Wakes) chart {
	c := chart{Since: w.Since(), Width: hoursBack * barStep, Height: barHeight}
	hours := w.Hours()
	for _, h := range hours {
		c.All += h.Wakes
		c.Most = max(c.Most, h.Wakes)
	}
	for i, h := range hours {
		b := bar{Hour: h, X: float64(i)*barStep + (barStep-barWidth)/2, Width: barWidth}
		if h.Wakes > 0 {
			b.Height = max(barLeast, barHeight*float64(h.Wakes)/float64(c.Most))
		}
		b.Y = barHeight - b.Height
		if h.From.Hour()%6 == 0 {
			b.Name = h.From.Format("15:04")
		}
		c.Bars = append(c.Bars, b)
	}
	return c
}
