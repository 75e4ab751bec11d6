// Command dashboard has a Prometheus of its own scrape TPA while another command runs, and writes what each panel of Grafana's
// dashboard would then ask, and was answered, for draw.sh to draw:
//
//	dashboard --last 6m --json FILE -- bin/soak --for=6m --keep
//
// It needs the cluster of test/cluster with TPA on it, and Debian's Prometheus: `make dashboard-picture`.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"tpa.dev/tpa/test/kit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("dashboard", flag.ContinueOnError)
	last := flags.Duration("last", 6*time.Minute, "how much to show of the time before the command's end")
	out := flags.String("json", "", "write the answers to this file; what Prometheus keeps is beside it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 || *out == "" || *last < time.Minute {
		return errors.New("say dashboard --last=6m --json=FILE -- COMMAND..., with a minute at least")
	}
	d, err := read("manifests/monitoring/dashboard.json")
	if err != nil {
		return err
	}
	cluster, err := kit.Connect(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(filepath.Dir(*out), "prometheus")
	if err := prepare(ctx, cluster, dir); err != nil {
		return err
	}
	p, err := start(ctx, cluster, dir)
	if err != nil {
		return err
	}
	answers, err := during(ctx, flags.Args(), *last, d)
	if err := errors.Join(err, p.stop()); err != nil {
		return err
	}
	text, err := json.Marshal(answers)
	if err != nil {
		return fmt.Errorf("answers: %w", err)
	}
	return os.WriteFile(*out, text, 0o644)
}

// during runs a command, and asks for the panels of the time before its end.
func during(ctx context.Context, command []string, last time.Duration, d dashboard) (answers, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return answers{}, fmt.Errorf("%s: %w", command[0], err)
	}
	return d.ask(ctx, "http://"+address, lately(time.Now(), last))
}
