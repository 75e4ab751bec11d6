package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// kubectl becomes the cluster's kubectl, so that streams, signals and exit code are
// its own.
func (c *cluster) kubectl(args []string) error {
	s, err := c.runningState()
	if err != nil {
		return err
	}
	return c.become(s, 1, append([]string{s.Cache + "/kubectl"}, args...))
}

// exec becomes any command inside a node's network.
func (c *cluster) exec(args []string) error {
	if len(args) > 1 && args[1] == "--" {
		args = append(args[:1:1], args[2:]...)
	}
	if len(args) < 2 {
		return errors.New("exec: say `cluster exec NODE -- CMD...`")
	}
	s, err := c.runningState()
	if err != nil {
		return err
	}
	for n := 1; n <= s.Nodes; n++ {
		if args[0] == nodeName(n) {
			return c.become(s, n, args[1:])
		}
	}
	return fmt.Errorf("exec: no node %q; there are node1 to %s", args[0], nodeName(s.Nodes))
}

// become replaces this program by another one inside node n's network.
func (c *cluster) become(s *state, n int, argv []string) error {
	runtime.LockOSThread()
	if err := enterNetns(nodeNetns(n)); err != nil {
		return err
	}
	os.Setenv("KUBECONFIG", c.kubeconfig())
	if self, err := os.Executable(); err == nil {
		os.Setenv("TPA_CLUSTER_PROGRAM", self) // for what is to break its own cluster
	}
	os.Setenv("PATH", os.Getenv("PATH")+":"+s.Cache) // for kubectl
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, argv, os.Environ()))
}

// load brings images into every node, replacing those of the same name.
func (c *cluster) load(ctx context.Context, archives []string) error {
	if len(archives) == 0 {
		return errors.New("load: which archives?")
	}
	s, err := c.runningState()
	if err != nil {
		return err
	}
	var work []func(context.Context) error
	for _, p := range s.Processes {
		if strings.HasPrefix(p.Name, "containerd-") {
			work = append(work, func(ctx context.Context) error {
				if err := importImages(ctx, containerdSocket(p.PID), archives); err != nil {
					return &componentError{p.Name, p.Log, err}
				}
				return nil
			})
		}
	}
	return together(ctx, work...)
}

// status shows every component. It fails if one does not run.
func (c *cluster) status(ctx context.Context) error {
	if err := requireRoot(); err != nil {
		return err
	}
	s, err := c.loadState()
	if err != nil {
		return err
	}
	if s == nil {
		if other := c.otherOwner(); other != "" {
			return fmt.Errorf("no cluster of this clone runs, but one of %s does", other)
		}
		return errors.New("no cluster is running")
	}
	fmt.Printf("Kubernetes %s, %d node(s), started %s\n", kubernetesVersion, s.Nodes, s.Started.Format("2006-01-02 15:04:05"))
	fmt.Printf("%-26s %-8s %8s %9s  %s\n", "COMPONENT", "STATE", "PID", "MEMORY", "LOG")
	var total int64
	var dead []string
	for _, p := range s.Processes {
		if p.alive() {
			total += memory(p.PID)
		} else {
			dead = append(dead, p.Name+" "+p.condition())
		}
		fmt.Printf("%-26s %-8s %8d %6d MB  %s\n", p.Name, p.condition(), p.PID, memory(p.PID)>>20, p.Log)
	}
	fmt.Printf("%-26s %-8s %8s %6d MB\n", "total", "", "", total>>20)
	switch {
	case len(dead) > 0:
		return fmt.Errorf("not running: %s", strings.Join(dead, ", "))
	case !s.Complete:
		return errors.New("an `up` is at work, or was interrupted; if so, `bin/cluster down`")
	}
	api, err := newAPI(c)
	if err != nil {
		return err
	}
	for n := 1; n <= s.Nodes; n++ {
		if err := api.condition(ctx, "/api/v1/nodes/"+nodeName(n), "Ready"); err != nil {
			return fmt.Errorf("%s: %w", nodeName(n), err)
		}
		fmt.Printf("%s is Ready at %s\n", nodeName(n), nodeIP(n))
	}
	fmt.Printf("KUBECONFIG=%s (reachable from inside a node: bin/cluster kubectl, bin/cluster exec)\n", c.kubeconfig())
	return nil
}
