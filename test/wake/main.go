// Command wake measures how long a client waits for an app that has no pod: through TPA, and by hand.
//
//	bin/cluster exec node1 -- bin/wake --rounds 40
//
// One app at a time: from the first SYN, or the first request to scale, to the first byte at the backend, in four ways
// that take turns within each round:
//
//	tpa      a client connects to the ClusterIP of a Service that sleeps
//	polled   a client writes the scale with client-go, and asks the ClusterIP every 10 ms
//	kubectl  the same with kubectl, as a person does
//	direct   a client writes the scale with client-go, and dials the pod at the instant that a watch shows it ready
//
// Many at once (--many 100 --many-rounds 2): as many Services, all asleep, get a client each at the same time; and as many
// others, alike but not managed, are scaled with client-go at the same time and each polled.
//
// It needs a two-node cluster of test/cluster with TPA on it, and runs inside the first node's network. The apps' pods run
// on the last node, those of many on any.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"tpa.dev/tpa/test/kit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "wake:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	cluster, err := kit.Connect(ctx)
	if err != nil {
		return err
	}
	if len(cluster.Nodes) < 2 {
		return errors.New("this cluster has one node: start it with `make cluster-up NODES=2`")
	}
	machine(out)
	if o.rounds > 0 {
		if err := one(ctx, cluster, o, out); err != nil {
			return err
		}
	}
	if o.manyRounds > 0 {
		return many(ctx, cluster, o, out)
	}
	return nil
}
