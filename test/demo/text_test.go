package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"one two three", 80, []string{"one two three"}},
		{"one two three", 7, []string{"one two", "three"}},
		{"averylongword is kept whole", 5, []string{"averylongword", "is", "kept", "whole"}},
	} {
		if diff := cmp.Diff(tt.want, wrap(tt.text, tt.width)); diff != "" {
			t.Errorf("wrap(%q, %d) (-want +got):\n%s", tt.text, tt.width, diff)
		}
	}
}

func TestCommandLines(t *testing.T) {
	for _, tt := range []struct {
		args  []string
		width int
		want  []string
	}{
		{[]string{"kubectl", "get", "pods"}, 80, []string{"kubectl get pods"}},
		{[]string{"make", "deploy", "KUBECTL=bin/cluster kubectl"}, 80, []string{`make deploy KUBECTL="bin/cluster kubectl"`}},
		{[]string{"psql", "-c", "SELECT 1"}, 80, []string{`psql -c "SELECT 1"`}},
		{[]string{"echo", "it's", "$HOME", ""}, 80, []string{`echo "it's" '$HOME' ""`}},
		{[]string{"echo", `a'"b`}, 80, []string{`echo 'a'\''"b'`}},
		{[]string{"kubectl", "annotate", "service", "web", "tpa.dev/target=web"}, 32, []string{
			`kubectl annotate service web \`,
			`    tpa.dev/target=web`,
		}},
	} {
		got := commandLines(tt.args, tt.width)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("commandLines(%q, %d) (-want +got):\n%s", tt.args, tt.width, diff)
		}
		for _, line := range got {
			if len(line) > tt.width {
				t.Errorf("commandLines(%q, %d) has a line of %d: %q", tt.args, tt.width, len(line), line)
			}
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                         "0.0 ms",
		2345 * time.Microsecond:   "2.3 ms",
		782 * time.Millisecond:    "782 ms",
		1312 * time.Millisecond:   "1.3 s",
		45 * time.Second:          "45.0 s",
		123456 * time.Millisecond: "2 min 03 s",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		part, whole time.Duration
		want        string
	}{
		{0, 5 * time.Second, "[....]"},
		{2500 * time.Millisecond, 5 * time.Second, "[##..]"},
		{9 * time.Second, 5 * time.Second, "[####]"},
		{time.Second, 0, "[....]"},
	} {
		if got := bar(tt.part, tt.whole, 4); got != tt.want {
			t.Errorf("bar(%s, %s) = %q, want %q", tt.part, tt.whole, got, tt.want)
		}
	}
}

func TestCountdownFits80Columns(t *testing.T) {
	for _, idle := range []time.Duration{0, 3200 * time.Millisecond, 44 * time.Second} {
		line := indent + countdown(idle, workload{wanted: 1, pods: []string{"a", "b"}})
		if len(line) >= 80 {
			t.Errorf("%q is %d columns wide", line, len(line))
		}
	}
}

func TestTail(t *testing.T) {
	for _, tt := range []struct {
		text  string
		lines int
		want  string
	}{{"a\nb\nc\n", 2, "b\nc"}, {"a\n", 5, "a"}, {"", 5, ""}} {
		if got := tail(tt.text, tt.lines); got != tt.want {
			t.Errorf("tail(%q, %d) = %q, want %q", tt.text, tt.lines, got, tt.want)
		}
	}
}
