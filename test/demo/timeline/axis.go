package timeline

import "time"

// stretch is a part of the time.
type stretch struct{ from, to time.Duration }

// gap is how wide a break is, in pixels.
const gap = 18

// axis tells where in the picture a time is. All stretches that are drawn have the same scale.
type axis struct {
	scale float64 // pixels a second
	drawn []piece
}

// piece is a stretch that is drawn, from x on.
type piece struct {
	stretch
	x float64
}

// newAxis maps the time from 0 to end, without the cuts, on what lies between left and right. The cuts are in order and
// do not touch.
func newAxis(left, right float64, end time.Duration, cuts []stretch) axis {
	shown := end
	for _, c := range cuts {
		shown -= c.to - c.from
	}
	a := axis{scale: (right - left - gap*float64(len(cuts))) / shown.Seconds()}
	from, x := time.Duration(0), left
	for _, c := range cuts {
		a.drawn = append(a.drawn, piece{stretch{from, c.from}, x})
		x += (c.from-from).Seconds()*a.scale + gap
		from = c.to
	}
	a.drawn = append(a.drawn, piece{stretch{from, end}, x})
	return a
}

// x is where a time is; one that was cut is where the drawing goes on, one behind the end is there.
func (a axis) x(t time.Duration) float64 {
	last := a.drawn[len(a.drawn)-1]
	for _, p := range a.drawn {
		if t <= p.to {
			return p.x + max(0, t-p.from).Seconds()*a.scale
		}
	}
	return last.x + (last.to-last.from).Seconds()*a.scale
}

// widest is the largest part between two times that no break interrupts.
func (a axis) widest(from, to time.Duration) (x0, x1 float64) {
	for _, p := range a.drawn {
		first, last := max(from, p.from), min(to, p.to)
		if begin, end := a.x(first), a.x(last); first < last && end-begin > x1-x0 {
			x0, x1 = begin, end
		}
	}
	return x0, x1
}

// breaks are where the gaps begin.
func (a axis) breaks() []float64 {
	var all []float64
	for _, p := range a.drawn[1:] {
		all = append(all, p.x-gap)
	}
	return all
}

// ticks are round times that are drawn, at least apart pixels from each other where nothing is cut.
func (a axis) ticks(apart float64) []time.Duration {
	step := time.Second
	for i := 0; step.Seconds()*a.scale < apart; i++ {
		step = step * []time.Duration{4, 5, 4}[i%3] / 2 // 1, 2, 5, 10
	}
	var all []time.Duration
	for _, p := range a.drawn {
		for t := (p.from + step - 1) / step * step; t <= p.to; t += step {
			all = append(all, t)
		}
	}
	return all
}
