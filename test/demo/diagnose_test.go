package main

import "testing"

func TestNotable(t *testing.T) {
	const (
		info = `{"level":"info","msg":"started"}` + "\n"
		warn = `{"level":"warn","msg":"no"}` + "\n"
		trap = "panic: oops\n"
	)
	for _, tt := range []struct{ name, log, want string }{
		{"only what matters", info + warn + info + trap + info, `{"level":"warn","msg":"no"}` + "\npanic: oops"},
		{"the last of it", warn + warn + trap, `{"level":"warn","msg":"no"}` + "\npanic: oops"},
		{"or the end", info + info + info, `{"level":"info","msg":"started"}` + "\n" + `{"level":"info","msg":"started"}`},
		{"or nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := notable(2)(tt.log); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
