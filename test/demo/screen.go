package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// indent is the margin of everything below a heading.
const indent = "   "

// plainEvery is how often a line that is updated in place on a terminal is written to anything else.
const plainEvery = 2 * time.Second

// Colours, used on a terminal only and sparsely: what a person typed, what went well, what did not.
const (
	bold, dim, green, red = "1", "2", "32", "31"
)

// screen is what the person who watches sees. It is used by one goroutine.
type screen struct {
	out    io.Writer
	tty    bool
	colour bool
	width  func() int

	inLive bool      // the cursor stands behind a live line
	lived  time.Time // when a line was written last that stays
}

func newScreen(f *os.File) *screen {
	s := &screen{out: f, width: func() int { return 80 }}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return s
	}
	s.tty = true
	// https://no-color.org: any value that is not empty.
	s.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	s.width = func() int {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col >= 40 {
			return min(int(size.Col), 100) // longer lines are hard to read
		}
		return 80
	}
	return s
}

func (s *screen) paint(code, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *screen) line(text string) {
	s.endLive()
	s.lived = time.Now()
	fmt.Fprintln(s.out, text)
}

// heading begins a step.
func (s *screen) heading(n int, title string) {
	s.line("")
	s.line(s.paint(bold, fmt.Sprintf("%d  %s", n, title)))
}

// say tells something, wrapped.
func (s *screen) say(format string, args ...any) {
	for _, line := range wrap(fmt.Sprintf(format, args...), s.width()-len(indent)) {
		s.line(indent + line)
	}
}

// good tells something that was promised and happened.
func (s *screen) good(format string, args ...any) {
	for _, line := range wrap(fmt.Sprintf(format, args...), s.width()-len(indent)) {
		s.line(indent + s.paint(green, line))
	}
}

// warn tells something that needs attention.
func (s *screen) warn(text string) {
	s.line("")
	s.line(s.paint(red, text))
}

// fail shows an error, which may be long.
func (s *screen) fail(err error) {
	s.warn("FAILED")
	for line := range strings.Lines(err.Error()) {
		s.line(indent + strings.TrimRight(line, "\n"))
	}
}

// command shows a command as a person types it.
func (s *screen) command(args ...string) {
	for i, line := range commandLines(args, s.width()-len(indent)-2) {
		prompt := "$ "
		if i > 0 {
			prompt = "  "
		}
		s.line(indent + s.paint(dim, prompt) + s.paint(bold, line))
	}
}

// output shows what a command wrote, as it is.
func (s *screen) output(text string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			s.line(indent + "  " + line)
		}
	}
}

// live shows what is the case right now: in place on a terminal, else as a line now and then.
func (s *screen) live(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.tty {
		s.inLive = true
		fmt.Fprint(s.out, "\r\x1b[K"+indent+cut(text, s.width()-len(indent)-1))
		return
	}
	if time.Since(s.lived) >= plainEvery {
		s.line(indent + text)
	}
}

// endLive makes room for a line that stays.
func (s *screen) endLive() {
	if s.inLive {
		fmt.Fprint(s.out, "\r\x1b[K")
	}
	s.inLive = false
}
