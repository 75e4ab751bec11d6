package sandbox

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Inside is the role of a Program in its sandbox, see Run.
const Inside = "inside"

// Program starts itself again in a sandbox, and there in other roles, as its first argument.
type Program struct {
	// Name begins what it says when it fails.
	Name string
	// Roles end by the signal that tells them to.
	Roles map[string]func() error
	// Check refuses arguments before anything is started.
	Check func(args []string) error
	// Inside does the work, in the sandbox.
	Inside func(ctx context.Context, args []string) error
}

// Main is the program's main.
func (p Program) Main() {
	if err := p.run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(1)
	}
}

// InRole reports whether this process was started in a role, and not by a person: a test's main calls Main then.
func (p Program) InRole() bool {
	if len(os.Args) < 2 {
		return false
	}
	_, ok := p.Roles[os.Args[1]]
	return ok || os.Args[1] == Inside
}

func (p Program) run(args []string) error {
	role := ""
	if len(args) > 0 {
		role = args[0]
	}
	if do, ok := p.Roles[role]; ok {
		return do()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if role == Inside {
		return p.Inside(ctx, args[1:])
	}
	if err := p.Check(args); err != nil {
		return err
	}
	return Run(ctx, append([]string{Inside}, args...)...)
}
