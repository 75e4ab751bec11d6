// Command size measures what TPA costs where there is much of it: thousands of managed Services in hundreds of
// namespaces on a real API server without nodes, with the real webhook as a process of its own that has TPA's own rights.
//
//	make bench-size                                   # 5,000 Services in 500 namespaces
//	make bench-size ARGS='--services=200 --namespaces=20 --json=size.json'
//
// Proxies are played: their pods, Leases and Deployments say what real ones would say, as soon as there is reason to.
// Requests are counted by the API server, in its audit log, so that none is forgotten and each has a name. Where TPA is
// compared with an admission webhook that always says yes, the two alternate call by call: on a shared machine the ratios
// mean something, the times by themselves less.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "size:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, file, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := measure(ctx, o, func(step string) { fmt.Fprintln(os.Stderr, step) })
	if err != nil {
		return err
	}
	if err := r.print(out); err != nil || file == "" {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}
