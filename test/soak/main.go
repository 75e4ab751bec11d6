// Command soak has clients use sleeping Services for minutes, and counts every connection that is lost or answered wrong.
//
//	soak --for 10m --seed 1 --json FILE
//
// 20 Services lead to 12 targets, some shared, through three proxies; idle time-outs are 2 to 5 s. Clients on both nodes
// talk HTTP with keep-alive and without, PostgreSQL, Redis and a protocol in which the server speaks first. They come at
// about the instant at which the decision to sleep is due. A round is a target's way to 0 replicas and back, as the API
// server shows it.
//
// Whatever is not answered as it should be is printed at once, with what is known of it. The last line is
//
//	soak: rounds=1234 connections=12345 lost=0 wrong=0
//
// It exits 1 if a connection was lost or answered wrong, or if there were fewer rounds than --rounds. It needs the cluster
// of test/cluster with two nodes and TPA on it: `make soak`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"tpa.dev/tpa/test/kit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	last, err := run(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
	}
	if last != "" {
		fmt.Println(last)
	}
	if err != nil {
		stop()
		os.Exit(1)
	}
}

// run returns the last line to print, if it comes to one.
func run(ctx context.Context, args []string) (last string, err error) {
	o, err := parse(args)
	if err != nil {
		return "", err
	}
	c, err := kit.Connect(ctx)
	if err != nil {
		return "", err
	}
	if len(c.Nodes) < 2 {
		return "", errors.New("this cluster has one node: start it with `make cluster-up NODES=2`")
	}
	f, err := setUp(ctx, c, wholePlan(), o.namespace)
	if err != nil {
		return "", err
	}
	do := f.soak
	if o.faulty() {
		do = f.try
	}
	r, err := do(ctx, o)
	err = errors.Join(err, r.write(o.json), writeTable(o.table, r.Faults))
	if !o.keep {
		err = errors.Join(err, f.remove(context.WithoutCancel(ctx)))
	}
	return r.last(), err
}
