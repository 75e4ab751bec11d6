package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// wrap breaks a text at its spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// cut shortens a line that would wrap.
func cut(line string, width int) string {
	if len(line) <= width {
		return line
	}
	return line[:max(0, width-3)] + "..."
}

// commandLines writes a command so that it can be typed, broken as a shell allows.
func commandLines(args []string, width int) []string {
	var lines []string
	line := ""
	for _, arg := range args {
		word := quote(arg)
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word)+len(` \`) <= width:
			line += " " + word
		default:
			lines = append(lines, line+` \`)
			line = "    " + word
		}
	}
	return append(lines, line)
}

var harmless = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote writes an argument as a shell reads it.
func quote(arg string) string {
	name, value, assigned := strings.Cut(arg, "=")
	switch {
	case harmless.MatchString(arg):
		return arg
	case assigned && harmless.MatchString(name) && !strings.ContainsAny(value, "'\"$`\\!"):
		return name + `="` + value + `"`
	case !strings.ContainsAny(arg, "\"$`\\!"):
		return `"` + arg + `"`
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

// span writes a duration with as many digits as a person wants to know.
func span(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}

// bar shows a share of a whole.
func bar(part, whole time.Duration, width int) string {
	full := 0
	if whole > 0 {
		full = int(min(part, whole) * time.Duration(width) / whole)
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

// count writes a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
