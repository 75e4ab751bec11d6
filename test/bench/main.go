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
	"fmt"
	"os"

	"tpa.dev/tpa/test/bench/load"
	"tpa.dev/tpa/test/bench/sandbox"
)

// The roles that bench starts itself in, as its first argument.
const (
	clientRole = "client"
	serverRole = "server"
)

func main() { program().Main() }

func program() sandbox.Program {
	return sandbox.Program{
		Name:   "bench",
		Roles:  map[string]func() error{clientRole: func() error { return load.Work(os.Stdin, os.Stdout) }, serverRole: serve},
		Check:  func(args []string) error { _, err := parse(args); return err },
		Inside: inside,
	}
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
