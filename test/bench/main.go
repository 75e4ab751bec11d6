// Command bench compares TPA's proxy, as it is shipped and with the rights that it has in a cluster, with HAProxy, nginx
// and the direct connection.
//
//	make bench
//	make bench ARGS='--links=loopback --cpus=1 --metrics=rr-cpu,bulk-cpu --rounds=3'
//	go run ./test/bench --proxy=old=/tmp/proxy --proxy=new=bin/proxy   # two builds of TPA in one run
//
// Client, proxy and server are processes of their own on the same one or two CPUs. In each round, for each thing that is
// measured, all arms have their turn in random order, so that what else the machine does hits them alike; figures are
// ratios within a round. See package load for what is sent and package meter for what is read.
//
// It needs root, and $KUBEBUILDER_ASSETS for the API server that TPA's proxy talks to. All that it starts lives in
// namespaces of its own (network, processes, mounts) and ends with them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"tpa.dev/tpa/test/bench/load"
	"tpa.dev/tpa/test/bench/sandbox"
)

// The roles that bench starts itself in, as its first argument.
const (
	insideRole = "inside"
	clientRole = "client"
	serverRole = "server"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	role := ""
	if len(args) > 0 {
		role = args[0]
	}
	switch role { // these two end by the signal that tells them to
	case clientRole:
		return load.Work(os.Stdin, os.Stdout)
	case serverRole:
		return serve()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if role == insideRole {
		return inside(ctx, args[1:])
	}
	if _, err := parse(args); err != nil {
		return err
	}
	return sandbox.Run(ctx, append([]string{insideRole}, args...)...)
}

// serve is the server's role. It says when it listens.
func serve() error {
	server, err := load.Listen(echoPort, bulkPort)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	return server.Serve()
}
