package report

import (
	_ "embed"
	"fmt"
	"io"
	"math"
	"text/template"
)

//go:embed chart.svg.tmpl
var chartTemplate string

// The chart's measures, in pixels.
const (
	chartWidth = 860
	chartLeft  = 270 // where the bars begin
	chartRight = 790 // where the scale ends; a figure fits behind it
	chartTop   = 104
	barHeight  = 9
	barPitch   = 13
	groupGap   = 14
)

// highest is where the scale ends at the latest: a longer bar is cut off there, and only its figure tells.
const highest = 3.0

// chartArms are drawn in each group, in this order.
var chartArms = []struct{ arm, title string }{{TPA, "TPA"}, {HAProxyTuned, "HAProxy tuned"}, {Nginx, "nginx"}}

// WriteChart draws one place's figures that are ratios as an SVG image.
func (r *Report) WriteChart(out io.Writer, place Place) error {
	c := r.chart(place)
	if len(c.Groups) == 0 {
		return fmt.Errorf("%s: no figures to draw", place)
	}
	t, err := template.New("chart").Parse(chartTemplate)
	if err != nil {
		return err
	}
	return t.Execute(out, c)
}

// chart is what the template draws.
type chart struct {
	Place                    Place
	Width, Height            int
	NameX, Left, Top, Bottom int
	ScaleY                   int
	BarHeight                int
	Legend                   []legend
	Ticks                    []tick
	Groups                   []group
}

type legend struct {
	Arm, Title string
	X, TextX   int
}

// tick is a value of the scale; One is that of the reference.
type tick struct {
	X     float64
	Label string
	One   bool
}

// group has a bar for each arm that has a figure.
type group struct {
	Y     int
	Title string
	Bars  []bar
}

// bar is one arm's median. From and To, its range, are 0 where the bar leaves the scale.
type bar struct {
	Arm, Figure              string
	Y, Middle, FigureY       float64
	Width, From, To, FigureX float64
}

func (r *Report) chart(place Place) chart {
	c := chart{
		Place: place, Width: chartWidth, NameX: chartLeft - 10, Left: chartLeft, Top: chartTop, BarHeight: barHeight,
	}
	for i, drawn := range chartArms {
		x := chartLeft + 120*i
		c.Legend = append(c.Legend, legend{Arm: drawn.arm, Title: drawn.title, X: x, TextX: x + 18})
	}
	end := r.scaleEnd(place)
	x := func(value float64) float64 { return math.Round(chartLeft + (chartRight-chartLeft)*value/end) }
	for value := 0.0; value <= end; value += 0.5 {
		c.Ticks = append(c.Ticks, tick{X: x(value), Label: fmt.Sprintf("%g", value), One: value == 1})
	}
	y := chartTop + groupGap/2
	for _, target := range Targets {
		if !charted(target) {
			continue
		}
		var bars []bar
		for _, drawn := range chartArms {
			row, ok := r.row(place, target, drawn.arm)
			if !ok {
				continue
			}
			b := bar{Arm: drawn.arm, Figure: fmt.Sprintf("%.2f", row.Median), Y: float64(y + len(bars)*barPitch)}
			b.Middle, b.FigureY = b.Y+barHeight/2.0, b.Y+barHeight
			b.Width, b.FigureX = x(min(row.Median, end))-chartLeft, x(min(row.Max, end))+6
			if row.Median <= end {
				b.From, b.To = x(row.Min), x(min(row.Max, end))
			}
			bars = append(bars, b)
		}
		if len(bars) > 0 {
			height := len(bars) * barPitch
			c.Groups = append(c.Groups, group{Y: y + height/2 + 4, Title: target.Title, Bars: bars})
			y += height + groupGap
		}
	}
	c.Bottom = y - groupGap/2
	c.ScaleY, c.Height = c.Bottom+16, c.Bottom+28
	return c
}

// charted are the ratios, each once.
func charted(t Target) bool { return (t.Against != "" || t.Per != "") && t.Against != HAProxyTuned }

// scaleEnd is the multiple of a half that holds all bars of the place, and the reference's line.
func (r *Report) scaleEnd(place Place) float64 {
	end := 1.5
	for _, row := range r.Rows {
		if row.Place == place && charted(row.Target) && row.Arm != HAProxy && row.Arm != Direct {
			end = max(end, math.Ceil(2*row.Max)/2)
		}
	}
	return min(end, highest)
}
