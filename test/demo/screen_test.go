package main

import (
	"strings"
	"testing"
	"time"
)

func TestPlainScreenHasNoEscapes(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out, width: func() int { return 80 }}
	s.heading(1, "Title")
	s.command("kubectl", "get", "pods")
	s.output("a  \n\nb\n")
	s.live("too soon")
	s.lived = time.Now().Add(-plainEvery)
	s.live("in time")
	s.live("too soon again")
	s.good("well")
	want := "\n1  Title\n   $ kubectl get pods\n     a\n     b\n   in time\n   well\n"
	if out.String() != want {
		t.Errorf("got\n%q, want\n%q", out.String(), want)
	}
}

func TestTerminalUpdatesInPlace(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out, tty: true, width: func() int { return 20 }}
	s.live("counting %d", 1)
	s.live("a line that would wrap")
	s.good("well")
	const clear = "\r\x1b[K"
	want := clear + "   counting 1" + clear + "   a line that w..." + clear + "   well\n"
	if out.String() != want {
		t.Errorf("got\n%q, want\n%q", out.String(), want)
	}
}
