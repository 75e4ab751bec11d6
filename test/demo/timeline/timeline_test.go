package timeline

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden file anew")

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(s float64) time.Time { return start.Add(span(s)) }

func span(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// run is a recording in which two clients ask for use seconds; the workload idles, sleeps and is woken by a request
// after so many seconds each; and clients ask again.
func run(use, idle, asleep, wake float64) Recording {
	r := Recording{App: "web", IdleTimeout: 5 * time.Second, States: []State{{at(-60), 1, 1, 1}}}
	ask := func(from, to float64) {
		for t := from; t < to; t += 0.055 {
			r.Requests = append(r.Requests, Request{at(t), span(0.003), false}, Request{at(t + 0.02), span(0.004), false})
		}
	}
	ask(0, use)
	answered := slices.MaxFunc(r.Requests, func(a, b Request) int { return a.At.Compare(b.At) })
	slept := answered.At.Add(answered.Took).Sub(start).Seconds() + idle
	held := slept + asleep
	r.States = append(r.States, State{at(slept), 0, 1, 1}, State{at(slept + 0.01), 0, 1, 0}, State{at(slept + asleep/4), 0, 0, 0},
		State{at(held + wake/20), 1, 0, 0}, State{at(held + wake/10), 1, 1, 0}, State{at(held + 0.9*wake), 1, 1, 1})
	r.Requests = append(r.Requests, Request{at(held), span(wake), false})
	ask(held+wake+0.01, held+wake+2)
	r.End = at(held + wake + 2.2)
	return r
}

// typical is what the demo sees.
func typical() Recording { return run(3, 5.2, 10, 0.7) }

func draw(t *testing.T, r Recording) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := r.WriteSVG(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestGolden(t *testing.T) {
	got := draw(t, typical())
	const path = "testdata/timeline.svg"
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); go test -update writes it anew:\n%s", path, diff)
	}
}

// TestStory: what is told is what was seen, and nothing is told of what was not seen whole.
func TestStory(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Recording)
		want   string // within the error, or, behind "says", within the picture
	}{
		{"typical", func(*Recording) {}, "says asleep: 0 pods for 7.6 s"},
		{"how long it idled", func(*Recording) {}, "says idle for 5.2 s"},
		{"how long it was held", func(*Recording) {}, "says connection held 0.70 s while"},
		{"the time-out", func(r *Recording) { r.IdleTimeout = time.Minute }, "says tpa.dev/idle-timeout=1m0s"},
		{"the name, whatever it is", func(r *Recording) { r.App = "a<b&" }, "says Service a&lt;b&amp; with"},
		{"one lost", func(r *Recording) { r.Requests[len(r.Requests)-50].Lost = true }, "says , 1 lost"},
		{"none lost", func(*Recording) {}, "says , 0 lost"},
		{"requests in another order", func(r *Recording) { slices.Reverse(r.Requests) }, "says connection held 0.70 s while"},
		{"pod seen before the replicas", func(r *Recording) {
			r.States[4], r.States[5] = State{r.States[4].At, 0, 1, 0}, State{r.States[5].At, 1, 1, 0}
		},
			"says asleep: 0 pods for 7.5 s"},
		{"nothing seen", func(r *Recording) { r.States = nil }, "never slept"},
		{"no sleep", func(r *Recording) { r.States = r.States[:1] }, "never slept"},
		{"asleep from the beginning", func(r *Recording) { r.States = r.States[1:] }, "slept from the beginning"},
		{"no wake", func(r *Recording) { r.States = r.States[:4] }, "never woke"},
		{"no pod", func(r *Recording) { r.States = r.States[:5] }, "no pod came back"},
		{"pods that stay", func(r *Recording) { r.States = slices.Delete(r.States, 3, 4); r.States[3].Pods = 1 }, "before its pods had ended"},
		{"no request", func(r *Recording) { r.Requests = nil }, "nobody asked"},
		{"none before", func(r *Recording) { r.Requests = r.Requests[len(r.Requests)-5:] }, "nobody asked"},
		{"none that woke it", func(r *Recording) { r.Requests = r.Requests[:20] }, "not a request that woke it"},
		{"a later one", func(r *Recording) {
			r.Requests = slices.DeleteFunc(r.Requests, func(q Request) bool { return q.Took > span(0.5) })
		}, "not a request that woke it"},
		{"the one that woke it was lost", func(r *Recording) {
			for i := range r.Requests {
				r.Requests[i].Lost = r.Requests[i].Took > span(0.5)
			}
		}, "was lost"},
		{"one on its way", func(r *Recording) { r.Requests[3].Took = span(9) }, "while a request was on its way"},
		{"not to the end", func(r *Recording) { r.End = r.States[5].At }, "until the answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := typical()
			tt.change(&r)
			var out strings.Builder
			err := r.WriteSVG(&out)
			if says, ok := strings.CutPrefix(tt.want, "says "); ok {
				if err != nil || !strings.Contains(out.String(), says) {
					t.Errorf("error %v, picture without %q:\n%s", err, says, out.String())
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.want) || out.Len() > 0 {
				t.Errorf("error %v, want one with %q and nothing drawn", err, tt.want)
			}
		})
	}
}

// TestWindow: as much is drawn before and behind as there was, and no more than inUse.
func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		name         string
		use          float64
		less         float64 // that it was looked at
		idle, behind float64
	}{
		{"more than enough", 9, 0, 1.5, 1.5},
		{"short", 0.5, 1.5, 0.519, 0.7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := run(tt.use, 5.2, 10, 0.7)
			r.End = r.End.Add(-span(tt.less))
			s, err := r.story()
			if err != nil {
				t.Fatal(err)
			}
			near := func(what string, got time.Duration, want float64) {
				if math.Abs(got.Seconds()-want) > 0.02 {
					t.Errorf("%s: %s, want %g s", what, got, want)
				}
			}
			near("used before", s.idle, tt.idle)
			near("used behind", s.end-s.held.to, tt.behind)
			if s.states[0].at != 0 || s.states[0].replicas != 1 {
				t.Errorf("it begins with %+v", s.states[0])
			}
			for _, q := range s.requests {
				if q.from < 0 || q.to > s.end {
					t.Errorf("request %+v is outside", q)
				}
			}
		})
	}
}

func TestAxis(t *testing.T) {
	const second = time.Second
	a := newAxis(100, 200+gap, 30*second, []stretch{{8 * second, 28 * second}})
	if a.scale != 10 || !slices.Equal(a.breaks(), []float64{180}) {
		t.Fatalf("scale %g, breaks %v", a.scale, a.breaks())
	}
	for _, tt := range []struct {
		at   time.Duration
		want float64
	}{
		{0, 100}, {4 * second, 140}, {8 * second, 180}, {9 * second, 180 + gap}, {28 * second, 180 + gap}, {29 * second, 190 + gap},
		{30 * second, 200 + gap}, {31 * second, 200 + gap},
	} {
		if got := a.x(tt.at); got != tt.want {
			t.Errorf("%s is at %g, want %g", tt.at, got, tt.want)
		}
	}
	for _, tt := range []struct{ from, to, x0, x1 float64 }{{0, 30, 100, 180}, {7, 30, 180 + gap, 200 + gap}, {1, 2, 110, 120}, {9, 20, 0, 0}} {
		if x0, x1 := a.widest(span(tt.from), span(tt.to)); x0 != tt.x0 || x1 != tt.x1 {
			t.Errorf("widest of %g to %g is %g to %g, want %g to %g", tt.from, tt.to, x0, x1, tt.x0, tt.x1)
		}
	}
	for _, tt := range []struct {
		apart float64
		want  []time.Duration
	}{
		{10, []time.Duration{0, second, 2 * second, 3 * second, 4 * second, 5 * second, 6 * second, 7 * second, 8 * second, 28 * second, 29 * second, 30 * second}},
		{20, []time.Duration{0, 2 * second, 4 * second, 6 * second, 8 * second, 28 * second, 30 * second}},
		{21, []time.Duration{0, 5 * second, 30 * second}},
		{100, []time.Duration{0, 30 * second}},
		{101, []time.Duration{0}},
	} {
		if got := a.ticks(tt.apart); !slices.Equal(got, tt.want) {
			t.Errorf("ticks %g apart: %v, want %v", tt.apart, got, tt.want)
		}
	}
}

// TestCuts: only where nothing happens is anything left out.
func TestCuts(t *testing.T) {
	for _, tt := range []struct {
		name    string
		r       Recording
		lengths []float64
	}{
		{"typical", typical(), []float64{5.2 - 3, 7.5 - 3}},
		{"nothing is long", run(3, 3.9, 4, 0.7), nil},
		{"nor is a wait cut", run(3, 3.9, 4, 60), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := tt.r.story()
			if err != nil {
				t.Fatal(err)
			}
			var got []float64
			for _, c := range s.cuts() {
				got = append(got, math.Round(10*(c.to-c.from).Seconds())/10)
			}
			if diff := cmp.Diff(tt.lengths, got); diff != "" {
				t.Errorf("seconds left out (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReadable: whatever the times, the picture is XML without scripts, no text touches another or a break, and nothing
// leaves the picture.
func TestReadable(t *testing.T) {
	for _, idle := range []float64{0.3, 5.2, 45, 3700} {
		for _, asleep := range []float64{0.2, 1, 10, 90000} {
			for _, wake := range []float64{0.05, 0.7, 3, 59} {
				for _, use := range []float64{0.03, 5} {
					t.Run(fmt.Sprint(use, idle, asleep, wake), func(t *testing.T) { readable(t, draw(t, run(use, idle, asleep, wake))) })
				}
			}
		}
	}
}

// area is where something is drawn.
type area struct {
	what           string
	x0, x1, y0, y1 float64
}

func (a area) touches(b area) bool { return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1 }

func readable(t *testing.T, picture []byte) {
	t.Helper()
	var texts, gaps []area
	var all area
	titles := map[string]int{}
	d := xml.NewDecoder(bytes.NewReader(picture))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attributes := map[string]string{}
		for _, a := range element.Attr {
			attributes[a.Name.Local] = a.Value
		}
		number := func(name string) float64 {
			n, err := strconv.ParseFloat(attributes[name], 64)
			if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
				t.Fatalf("%s of <%s>: %v", name, element.Name.Local, err)
			}
			return n
		}
		switch element.Name.Local {
		case "svg":
			all = area{"picture", 0, number("width"), 0, number("height")}
			if attributes["role"] != "img" || attributes["aria-labelledby"] != "title desc" {
				t.Errorf("it is not accessible: %v", attributes)
			}
		case "title", "desc":
			var content string
			if err := d.DecodeElement(&content, &element); err != nil || content == "" || attributes["id"] != element.Name.Local {
				t.Errorf("<%s> %v is %q: %v", element.Name.Local, attributes, content, err)
			}
			titles[element.Name.Local]++
		case "rect":
			if attributes["class"] == "paper" {
				continue
			}
			a := area{"box " + attributes["class"], number("x"), number("x") + number("width"), number("y"), number("y") + number("height")}
			within(t, a, all)
			if attributes["class"] == "gap" {
				gaps = append(gaps, a)
			}
		case "text":
			var content string
			if err := d.DecodeElement(&content, &element); err != nil {
				t.Fatal(err)
			}
			s := text{attributes["class"], attributes["text-anchor"], number("x"), number("y"), content}
			x0, x1 := s.extent()
			texts = append(texts, area{content, x0, x1, s.Y - 11, s.Y + 3})
		case "path", "style":
		default:
			t.Errorf("<%s> in a picture that is only looked at", element.Name.Local)
		}
	}
	if titles["title"] != 1 || titles["desc"] != 1 {
		t.Errorf("titles and descriptions: %v", titles)
	}
	for i, a := range texts {
		within(t, a, all)
		for _, b := range slices.Concat(texts[:i], gaps) {
			if a.touches(b) {
				t.Errorf("%+v touches %+v", a, b)
			}
		}
	}
	if said := bytes.Count(picture, []byte(" left out</text>")); said != len(gaps) {
		t.Errorf("%d breaks, %d of them explained", len(gaps), said)
	}
	if len(texts) < 12 {
		t.Errorf("only %d texts", len(texts))
	}
}

func within(t *testing.T, a, all area) {
	t.Helper()
	if a.x0 < 0 || a.x1 > all.x1 || a.y0 < 0 || a.y1 > all.y1 {
		t.Errorf("%+v leaves the %+v", a, all)
	}
}
