package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// invocation is how a process was started.
type invocation struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`
}

// invocationOf reads it off a running process, so that one which any earlier version
// of this program has started can be started again.
func invocationOf(pid int) (*invocation, error) {
	read := func(name string) ([]string, error) {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00"), err
	}
	args, err := read("cmdline")
	if err == nil && args[0] == "" {
		err = errors.New("it has ended")
	}
	if err != nil {
		return nil, fmt.Errorf("command of process %d: %w", pid, err)
	}
	env, err := read("environ")
	if err != nil {
		return nil, fmt.Errorf("environment of process %d: %w", pid, err)
	}
	return &invocation{args, env}, nil
}

// stop kills components as a crash would.
func (c *cluster) stop(names []string) error { return c.outage("stop", names, c.stopProcess) }

// start starts components that were stopped, and waits until the cluster is healthy
// unless others are still stopped.
func (c *cluster) start(ctx context.Context, names []string) error {
	run := &starter{c: c}
	err := c.outage("start", names, func(s *state, p *process) error {
		run.s = s
		return run.startAgain(ctx, p)
	})
	if err != nil || slices.ContainsFunc(run.s.Processes, func(p process) bool { return p.condition() == "stopped" }) {
		return err
	}
	return run.waitHealthy(ctx, 60*time.Second)
}

// outage does something to each of the named components, of which the state is told.
func (c *cluster) outage(command string, names []string, do func(*state, *process) error) error {
	unlock, err := lock(command)
	if err != nil {
		return err
	}
	defer unlock()
	return c.each(command, names, do)
}

// each does something to each of the named components.
func (c *cluster) each(command string, names []string, do func(*state, *process) error) error {
	s, err := c.runningState()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("%s: which components? There are %s", command, s.componentNames())
	}
	for _, name := range names {
		i := slices.IndexFunc(s.Processes, func(p process) bool { return p.Name == name })
		if i < 0 {
			return fmt.Errorf("%s: no component %q; there are %s", command, name, s.componentNames())
		}
		if err := do(s, &s.Processes[i]); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	return nil
}

func (s *state) componentNames() string {
	var names []string
	for _, p := range s.Processes {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// stopProcess kills a process, and notes before that how to start it again.
func (c *cluster) stopProcess(s *state, p *process) error {
	if !p.alive() {
		if p.Stopped {
			return nil
		}
		return &componentError{p.Name, p.Log, errEnded}
	}
	was, err := invocationOf(p.PID)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	p.Stopped, p.Invocation = true, was
	if err := c.saveState(s); err != nil {
		return err
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", p.Name, err)
	}
	for deadline := time.Now().Add(10 * time.Second); p.alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s, process %d, does not end", p.Name, p.PID)
		}
	}
	return nil
}

// startAgain starts a process that was stopped, in the namespaces of its node. What needs an API server ends if there is
// none, so this waits until that is ready.
func (r *starter) startAgain(ctx context.Context, p *process) error {
	if p.alive() {
		return nil
	}
	was := p.Invocation
	if was == nil {
		return &componentError{p.Name, p.Log, errEnded}
	}
	beside, ok := r.s.neighbour(*p)
	if !ok {
		return fmt.Errorf("%s: nothing runs any more on %s", p.Name, nodeName(p.node()))
	}
	var again *component
	err := inNamespacesOf(beside.PID, func() error {
		started, exited, err := startDetached(p.Name, p.Log, was.Env, was.Args)
		if err != nil {
			return err
		}
		*p = started
		p.Invocation = was
		again = &component{started, exited}
		r.components = append(r.components, again)
		return r.c.saveState(r.s)
	})
	if err != nil || p.Name != apiServer {
		return err
	}
	api, err := newAPI(r.c)
	if err != nil {
		return err
	}
	return again.until(ctx, "ready", apiReadyWithin, func() error { return api.ready(ctx) })
}

// node is the node that a component is part of.
func (p process) node() int {
	for n := 1; n <= maxNodes; n++ {
		if strings.HasSuffix(p.Name, "-"+nodeName(n)) {
			return n
		}
	}
	return 1 // the control plane
}

// neighbour returns another process of a component's node that runs.
func (s *state) neighbour(of process) (process, bool) {
	for _, p := range s.Processes {
		if p.Name != of.Name && p.node() == of.node() && p.alive() {
			return p, true
		}
	}
	return process{}, false
}

// inNamespacesOf runs do in the network and mount namespaces of a process.
func inNamespacesOf(pid int, do func() error) error {
	return onThread(func() error {
		mounts, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		if err != nil {
			return fmt.Errorf("mount namespace: %w", err)
		}
		defer mounts.Close()
		if err := enterNetns(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil {
			return err
		}
		// A thread that shares its root and working directory may not change its mounts.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("mount namespace: %w", err)
		}
		if err := unix.Setns(int(mounts.Fd()), unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("mount namespace of process %d: %w", pid, err)
		}
		return do()
	})
}
