package timeline

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

//go:embed timeline.svg.tmpl
var svg string

// The picture's measures, in pixels.
const (
	width      = 800
	margin     = 20
	left       = 132.0 // where the time begins
	right      = 780.0
	phasesTop  = 64
	phasePitch = 24
	laneHeight = 26
	lanePitch  = 38
	notePitch  = 20
)

// fontSizes are those of the template's classes of text; 13 where none is named.
var fontSizes = map[string]float64{"heading": 16, "small": 12}

// WriteSVG draws the first sleep of the recording, and the wake that ended it.
func (r Recording) WriteSVG(out io.Writer) error {
	s, err := r.story()
	if err != nil {
		return err
	}
	t, err := template.New("timeline").Parse(svg)
	if err != nil {
		return err
	}
	return t.Execute(out, s.picture())
}

// picture is what the template draws, in this order.
type picture struct {
	Title, Desc   string
	Width, Height int
	Boxes         []box
	Lines         []line
	Texts         []text
}

type box struct {
	Class               string
	X, Y, Width, Height float64
}

// newBox is a box from x0 to x1, at least a pixel wide.
func newBox(class string, x0, x1, y, height float64) box {
	return box{class, rounded(x0), rounded(y), rounded(max(1, x1-x0)), rounded(height)}
}

// line is a path, as SVG writes it.
type line struct{ Class, Path string }

type text struct {
	Class, Anchor string // start, middle or end
	X, Y          float64
	Text          string
}

// extent is from where to where a text reaches at most, in the fonts that readers have.
func (t text) extent() (from, to float64) {
	size, ok := fontSizes[t.Class]
	if !ok {
		size = 13
	}
	length := 0.6 * size * float64(utf8.RuneCountInString(t.Text))
	switch t.Anchor {
	case "middle":
		return t.X - length/2, t.X + length/2
	case "end":
		return t.X - length, t.X
	}
	return t.X, t.X + length
}

// rows are rows of texts that do not touch.
type rows [][]text

// place puts a text into the first row with room for it, within the time's range, and returns it and the row's number.
func (rs *rows) place(t text) (text, int) {
	from, to := t.extent()
	t.X += max(0, left-from) - max(0, to-right)
	for i := range *rs {
		if free((*rs)[i], t) {
			(*rs)[i] = append((*rs)[i], t)
			return t, i
		}
	}
	*rs = append(*rs, []text{t})
	return t, len(*rs) - 1
}

// free reports whether a text has room among those of a row.
func free(row []text, t text) bool {
	const apart = 6
	from, to := t.extent()
	for _, other := range row {
		if otherFrom, otherTo := other.extent(); from < otherTo+apart && otherFrom < to+apart {
			return false
		}
	}
	return true
}

func (s story) picture() picture {
	cuts := s.cuts()
	d := drawing{story: s, axis: newAxis(left, right, s.end, cuts)}
	d.Title = fmt.Sprintf("A Service that sleeps, and the connection that wakes it: %s", s.app)
	d.Desc = s.describe()
	d.Width = width
	d.text("heading", "start", margin, 30, "A Service that sleeps, and the connection that wakes it")
	d.text("small", "start", margin, 50, fmt.Sprintf("Seen in a run of make demo, on a real Kubernetes: Service %s with tpa.dev/idle-timeout=%s", s.app, s.idleTimeout))

	lanes := d.phases()
	bottom := d.lanes(lanes)
	axisY := d.notes(bottom)
	end := d.ruler(axisY, cuts)
	// What the sleep covers lies below everything else.
	d.Boxes = slices.Insert(d.Boxes, 0, newBox("asleep", d.x(s.asleep), d.x(s.awake), lanes-6, axisY-lanes+6))
	for _, x := range d.breaks() {
		d.box("gap", x, x+gap, lanes-7, bottom-lanes+12)
		for _, edge := range []float64{x, x + gap} {
			d.line("break", fmt.Sprintf("M%s %sl-4 %sM%s %sl-4 8", px(edge+2), px(lanes-7), px(bottom-lanes+12), px(edge+2), px(axisY-4)))
		}
	}
	d.Height = int(end) + margin
	return d.picture
}

// drawing is a picture that is being made.
type drawing struct {
	picture
	story
	axis
}

func (d *drawing) text(class, anchor string, x, y float64, s string) {
	d.Texts = append(d.Texts, text{class, anchor, rounded(x), rounded(y), s})
}

func (d *drawing) box(class string, x0, x1, y, height float64) {
	d.Boxes = append(d.Boxes, newBox(class, x0, x1, y, height))
}

func (d *drawing) line(class, path string) { d.Lines = append(d.Lines, line{class, path}) }

// phases draws what happens when, and returns where the lanes begin.
func (d *drawing) phases() float64 {
	var placed rows
	for _, p := range []struct {
		class string
		stretch
		text string
	}{
		{"using", stretch{0, d.idle}, "in use"},
		{"idling", stretch{d.idle, d.asleep}, "idle for " + seconds(d.asleep-d.idle)},
		{"sleeping", stretch{d.asleep, d.awake}, "asleep: 0 pods for " + seconds(d.back-d.gone)},
		{"using", stretch{d.held.to, d.end}, "in use"},
	} {
		x0, x1 := d.x(p.from), d.x(p.to)
		t, row := placed.place(text{Anchor: "middle", X: (x0 + x1) / 2, Text: p.text})
		y := phasesTop + phasePitch*float64(row)
		d.text("", "middle", t.X, y+13, p.text)
		d.box(p.class, x0+1, x1-1, y+18, 2)
	}
	return phasesTop + phasePitch*float64(len(placed)) + 8
}

// lanes draws replicas, pods and requests, and returns where they end.
func (d *drawing) lanes(top float64) float64 {
	name := func(y float64, name, note string) {
		d.text("", "start", margin, y+11, name)
		d.text("small", "start", margin, y+25, note)
	}
	name(top, "replicas", "wanted")
	d.lane(top, func(m moment) (string, string) {
		if m.replicas == 0 {
			return "", "0"
		}
		return "replicas", strconv.Itoa(m.replicas)
	})
	top += lanePitch
	name(top, "pods", "faint: unready")
	d.lane(top, func(m moment) (string, string) {
		switch {
		case m.pods == 0:
			return "", "0"
		case m.ready == 0:
			return "unready", "0 ready"
		}
		return "ready", fmt.Sprintf("%d ready", m.ready)
	})
	top += lanePitch
	name(top, "requests", "a mark for each")
	for _, p := range d.drawn {
		d.box("grid", p.x, d.x(p.to), top+laneHeight/2-0.5, 1)
	}
	marks := map[string]*strings.Builder{"request": {}, "lost": {}}
	for _, r := range d.requests {
		x0, x1 := d.x(r.from), d.x(r.to)
		switch {
		case r == d.held:
			d.box("held", x0, x1, top+5, laneHeight-10)
			d.line("ends", fmt.Sprintf("M%s %sv%dM%s %sv%d", px(x0), px(top), laneHeight, px(x1), px(top), laneHeight))
		case r.lost:
			fmt.Fprintf(marks["lost"], "M%s %sv%dh%s", px(x0), px(top+2), laneHeight-4, px(x1-x0))
		default:
			// From the beginning to the answer, which is less than the mark's own width if it came at once.
			fmt.Fprintf(marks["request"], "M%s %sv%dh%s", px(x0), px(top+6), laneHeight-12, px(x1-x0))
		}
	}
	for _, class := range []string{"request", "lost"} {
		if path := marks[class].String(); path != "" {
			d.line(class, path)
		}
	}
	return top + laneHeight
}

// lane draws one figure of the states; of names the class of a state's box, none for an empty one, and its text.
func (d *drawing) lane(y float64, of func(moment) (class, text string)) {
	for i := 0; i < len(d.states); {
		class, label := of(d.states[i])
		from := d.states[i].at
		for i++; i < len(d.states); i++ {
			if c, l := of(d.states[i]); c != class || l != label {
				break
			}
		}
		to := d.end
		if i < len(d.states) {
			to = d.states[i].at
		}
		on := ""
		if class != "" {
			on = "on-" + class
			d.box(class, d.x(from), d.x(to), y, laneHeight)
		}
		x0, x1 := d.widest(from, to)
		t := text{on, "middle", (x0 + x1) / 2, y + laneHeight/2 + 4.5, label}
		if a, b := t.extent(); a >= x0 && b <= x1 {
			d.text(t.Class, t.Anchor, t.X, t.Y, t.Text)
		}
	}
}

// notes draws what there is to say about requests, and returns where the axis is.
func (d *drawing) notes(top float64) float64 {
	var placed rows
	x := (d.x(d.held.from) + d.x(d.held.to)) / 2
	d.line("leader", fmt.Sprintf("M%s %sv8", px(x), px(top-5)))
	note := func(t text) {
		t, row := placed.place(t)
		d.text(t.Class, t.Anchor, t.X, top+16+notePitch*float64(row), t.Text)
	}
	note(text{Class: "strong", Anchor: "middle", X: x, Text: fmt.Sprintf("connection held %s while a pod starts, then answered", seconds(d.held.to-d.held.from))})
	note(text{Anchor: "start", X: left, Text: d.tally()})
	return top + notePitch*float64(len(placed)) + 8
}

// ruler draws the axis and says what is left out, and returns where that ends.
func (d *drawing) ruler(y float64, cuts []stretch) float64 {
	for _, p := range d.drawn {
		d.line("axis", fmt.Sprintf("M%s %sH%s", px(p.x), px(y), px(d.x(p.to))))
	}
	placed := rows{nil}
	label := func(t text, row int) { d.text(t.Class, t.Anchor, t.X, y+17+notePitch*float64(row), t.Text) }
	for i, x := range d.breaks() {
		label(placed.place(text{"small", "middle", x + gap/2, 0, seconds(cuts[i].to-cuts[i].from) + " left out"}))
	}
	for _, at := range d.ticks(24) {
		// What is left out must be said; a tick that has no room is none.
		t := text{"small", "middle", d.x(at), 0, fmt.Sprintf("%.0f s", at.Seconds())}
		if _, to := t.extent(); to <= width-margin/2 && free(placed[0], t) {
			placed[0] = append(placed[0], t)
			label(t, 0)
			d.line("axis", fmt.Sprintf("M%s %sv4", px(t.X), px(y)))
		}
	}
	return y + notePitch*float64(len(placed))
}

// tally is what became of the requests.
func (s story) tally() string {
	return fmt.Sprintf("%d connections, %d lost", len(s.requests), s.lost())
}

// describe tells the picture to who cannot see it.
func (s story) describe() string {
	return fmt.Sprintf("Deployment %s is asked until %s. After %s without a request it goes to 0 replicas, and %s later no pod is left. "+
		"At %s a connection comes; it is held for %s while a pod starts, and then answered. In all %s.",
		s.app, seconds(s.idle), seconds(s.asleep-s.idle), seconds(s.gone-s.asleep), seconds(s.held.from), seconds(s.held.to-s.held.from), s.tally())
}

// seconds writes a duration in the unit of the axis.
func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func rounded(x float64) float64 { return math.Round(10*x) / 10 }

// px writes a coordinate.
func px(x float64) string { return strconv.FormatFloat(rounded(x), 'f', -1, 64) }
