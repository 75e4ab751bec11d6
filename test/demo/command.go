package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const cluster = "bin/cluster"

// command prepares a program that ends when ctx does. It has a process group of its own, so that Ctrl-C reaches the
// demo alone, which then decides what to end and in which order.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	for _, env := range os.Environ() {
		// A make that is started here is not the child of the make that started us.
		if !strings.HasPrefix(env, "MAKE") && !strings.HasPrefix(env, "MFLAGS=") {
			cmd.Env = append(cmd.Env, env)
		}
	}
	return cmd
}

// quiet runs a program and returns what it wrote; the error of a failed one holds it too.
func quiet(ctx context.Context, name string, args ...string) (string, error) {
	cmd := command(ctx, name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s", strings.Join(commandLines(append([]string{name}, args...), 1000), ""),
			err, tail(out.String(), 30))
	}
	return out.String(), nil
}

// timed runs a program whose output is of interest only if it fails, and shows for how long it has been at work.
func (d *demo) timed(ctx context.Context, what, name string, args ...string) (string, error) {
	start := time.Now()
	var out string
	done := make(chan error, 1)
	go func() {
		var err error
		out, err = quiet(ctx, name, args...)
		done <- err
	}()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				d.say("%s: %s", what, span(time.Since(start)))
			}
			return out, err
		case <-ticker.C:
			if d.tty {
				d.live("%s ... %.0f s", what, time.Since(start).Seconds())
			}
		}
	}
}

// kubectl runs what it shows, and shows what came out.
func (d *demo) kubectl(ctx context.Context, args ...string) error {
	d.command(append([]string{"kubectl"}, args...)...)
	out, err := quiet(ctx, cluster, append([]string{"kubectl"}, args...)...)
	if err != nil {
		return err
	}
	d.output(out)
	return nil
}

// tail is the end of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
