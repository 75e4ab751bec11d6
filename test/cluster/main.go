// Command cluster runs a real Kubernetes on one machine, without images from a
// registry and without Docker, for TPA's tests and demo.
//
// A node is a network namespace and a mount namespace with a containerd, a kubelet
// and a kube-proxy of its own; node1 also carries etcd, the control plane and
// cert-manager's controllers as plain processes. Everything is real but the
// machines. See `cluster help`.
//
// It does not survive a reboot, and keeps nothing over a `down` but its logs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `cluster runs a real Kubernetes on this machine, for tests.

  cluster up [--nodes N]        start it, or check that it runs (first time: about 10 minutes)
  cluster down                  stop it and remove every trace, also of an interrupted up
  cluster status                what runs, where its log is, how much memory it uses
  cluster kubectl ARGS...       kubectl against it
  cluster exec NODE -- CMD...   a command in a node's network (node1, node2, ...), with KUBECONFIG set
  cluster load IMAGE.tar...     bring images into every node
  cluster stop COMPONENT...     kill components as a crash would (kube-apiserver, cert-manager, ...)
  cluster start COMPONENT...    start them again as they were
  cluster pause COMPONENT...    keep components from running (etcd, ...)
  cluster resume COMPONENT...   let them go on
  cluster cut NODE              take a node's network cable out (node2, ...)
  cluster join NODE             plug it back in
  cluster programs              print the folder of the programs, built if need be: etcd, kube-apiserver, kubectl, ...
  cluster image --name NAME:TAG --out FILE.tar [flags] SRC[:DEST]...
                                make an image of files of this machine; see cluster image --help

Pods, Services and nodes can be reached from inside a node only: use kubectl or exec.
State is kept in .cluster at the repository's root (or in $TPA_CLUSTER_DIR), the
kubeconfig in .cluster/kubeconfig, logs in .cluster/logs. A machine holds one cluster
for each $TPA_CLUSTER, which is a short name or empty.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "cluster:", err)
	var failed *componentError
	if errors.As(err, &failed) {
		fmt.Fprint(os.Stderr, failed.Tail())
	}
	os.Exit(1)
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return errors.New("which command?")
	}
	name, args := args[0], args[1:]
	switch name {
	case "help", "-h", "--help":
		fmt.Print(usage)
		return nil
	case "image":
		return runImage(args)
	}
	commands := map[string]func(context.Context, *cluster, []string) error{
		"up":       runUp,
		"down":     func(ctx context.Context, c *cluster, _ []string) error { return c.down(ctx) },
		"status":   func(ctx context.Context, c *cluster, _ []string) error { return c.status(ctx) },
		"kubectl":  func(_ context.Context, c *cluster, args []string) error { return c.kubectl(args) },
		"exec":     func(_ context.Context, c *cluster, args []string) error { return c.exec(args) },
		"stop":     func(_ context.Context, c *cluster, args []string) error { return c.stop(args) },
		"start":    func(ctx context.Context, c *cluster, args []string) error { return c.start(ctx, args) },
		"pause":    func(_ context.Context, c *cluster, args []string) error { return c.pause(args) },
		"resume":   func(_ context.Context, c *cluster, args []string) error { return c.resume(args) },
		"cut":      func(_ context.Context, c *cluster, args []string) error { return c.cut(args) },
		"join":     func(_ context.Context, c *cluster, args []string) error { return c.join(args) },
		"load":     func(ctx context.Context, c *cluster, args []string) error { return c.load(ctx, args) },
		"programs": func(ctx context.Context, c *cluster, _ []string) error { return c.programs(ctx) },
	}
	command, ok := commands[name]
	if !ok {
		return fmt.Errorf("no command %q; see `cluster help`", name)
	}
	c, err := findCluster()
	if err != nil {
		return err
	}
	return command(ctx, c, args)
}

func runUp(ctx context.Context, c *cluster, args []string) error {
	flags := flag.NewFlagSet("cluster up", flag.ContinueOnError)
	nodes := flags.Int("nodes", 1, "how many nodes, 1 to 4")
	if err := flags.Parse(args); err != nil {
		return err
	}
	given := false
	flags.Visit(func(f *flag.Flag) { given = given || f.Name == "nodes" })
	if flags.NArg() > 0 {
		return fmt.Errorf("up: unexpected argument %q", flags.Arg(0))
	}
	if *nodes < 1 || *nodes > maxNodes {
		return fmt.Errorf("up: --nodes is %d, must be 1 to %d", *nodes, maxNodes)
	}
	return c.up(ctx, *nodes, given)
}
