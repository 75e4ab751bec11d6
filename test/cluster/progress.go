package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// progress tells a person what is being done and for how long: a line that counts
// on a terminal, otherwise a line at the start, every 15 seconds and at the end.
type progress struct {
	out   io.Writer
	tty   bool
	begin time.Time
}

func newProgress(f *os.File) *progress {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return &progress{out: f, tty: err == nil, begin: time.Now()}
}

// step runs one step. what says what is done, hint (or "") roughly how long it takes.
func (p *progress) step(ctx context.Context, what, hint string, do func(context.Context) error) error {
	if hint != "" {
		what += " (" + hint + ")"
	}
	started := time.Now()
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() { p.tick(what, started, stop) })
	err := do(ctx)
	close(stop)
	ticking.Wait()
	verdict := "done"
	if err != nil {
		verdict = "FAILED"
	}
	p.line("\n", what, started, verdict)
	return err
}

func (p *progress) tick(what string, started time.Time, stop <-chan struct{}) {
	every := 15 * time.Second
	if p.tty {
		every = time.Second
		p.line("", what, started, "...")
	} else {
		p.line("\n", what, started, "...")
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			if p.tty {
				p.line("", what, started, "...")
			} else {
				p.line("\n", what, started, "still at it")
			}
		}
	}
}

func (p *progress) line(end, what string, started time.Time, verdict string) {
	clear := ""
	if p.tty {
		clear = "\r\033[K"
	}
	took := time.Since(started)
	if verdict == "..." && took < time.Second {
		fmt.Fprintf(p.out, "%s[%6s] %s ...%s", clear, elapsed(time.Since(p.begin)), what, end)
		return
	}
	fmt.Fprintf(p.out, "%s[%6s] %s: %s, %s%s", clear, elapsed(time.Since(p.begin)), what, verdict, elapsed(took), end)
}

func elapsed(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}
