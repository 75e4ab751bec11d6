package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// down stops the cluster and removes every trace of it but its logs.
func (c *cluster) down(ctx context.Context) error {
	if err := requireRoot(); err != nil {
		return err
	}
	unlock, err := lock("down")
	if err != nil {
		return err
	}
	defer unlock()
	if other := c.otherOwner(); other != "" {
		if s, err := c.loadState(); s == nil && err == nil {
			return fmt.Errorf("no cluster of this clone runs, but one of %s does; stop it there: cd %s && bin/cluster down",
				other, filepath.Dir(other))
		}
		return os.RemoveAll(c.path("state.json"))
	}
	return c.remove(ctx)
}

// remove goes by what it finds, not by the state alone, so that it also works after
// an up that was killed at any point. Everything is killed outright: nothing of the
// cluster's data is kept, and an API server that is asked to end waits for its watches.
func (c *cluster) remove(ctx context.Context) error {
	s, err := c.loadState()
	if err != nil || s == nil {
		s = new(state) // damaged: names and namespaces still tell
	}
	if err := killAll(ctx, s); err != nil {
		return err
	}
	errs := []error{c.unmountAll(), removeNetwork(), removeCgroups()}
	for key, value := range s.Sysctls {
		_ = os.WriteFile("/proc/sys/"+key, []byte(value), 0)
	}
	for _, dir := range slices.Backward(s.Made) {
		// Not if somebody has put something there meanwhile.
		_ = syscall.Rmdir(dir)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("down: %w", err)
	}
	entries, _ := os.ReadDir(c.dir)
	for _, entry := range entries {
		if name := entry.Name(); name != "logs" && name != "state.json" {
			errs = append(errs, os.RemoveAll(c.path(name)))
		}
	}
	// Last: until here another down would go on where this one was interrupted.
	errs = append(errs, os.RemoveAll(ownerFile()), os.RemoveAll(c.path("state.json")))
	return errors.Join(errs...)
}

// killAll kills every process of the cluster until none is found any more.
func killAll(ctx context.Context, s *state) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		pids := s.strays()
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("down: processes %v do not end", pids)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *state) anyAlive() bool {
	return slices.ContainsFunc(s.Processes, process.alive)
}

// strays lists the processes of the cluster: those that were started and recorded,
// and those that live in one of its network namespaces or cgroups. This program and
// its parents are left out, so that down may be called from inside a node.
func (s *state) strays() []int {
	spare := map[int]bool{1: true}
	for pid := os.Getpid(); pid > 1; pid = parent(pid) {
		spare[pid] = true
	}
	namespaces := ourNetns()
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || spare[pid] {
			continue
		}
		if _, running := processStart(pid); !running {
			continue
		}
		if inOurCgroup(pid) || slices.Contains(namespaces, netnsOf(fmt.Sprintf("/proc/%d/ns/net", pid))) {
			pids = append(pids, pid)
		}
	}
	for _, p := range s.Processes {
		if p.alive() && !spare[p.PID] && !slices.Contains(pids, p.PID) {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

func inOurCgroup(pid int) bool {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 && isOurCgroup(parts[2]) {
			return true
		}
	}
	return false
}

// netnsID identifies a network namespace.
type netnsID struct{ dev, ino uint64 }

func netnsOf(path string) netnsID {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return netnsID{}
	}
	return netnsID{st.Dev, st.Ino}
}

// ourNetns lists the nodes' network namespaces. A name without a namespace, as a crash
// may leave it, and the machine's own namespace never count.
func ourNetns() []netnsID {
	machine := netnsOf("/proc/1/ns/net")
	var ids []netnsID
	paths, _ := filepath.Glob(filepath.Join(netnsDir, own("node*")))
	for _, path := range paths {
		if id := netnsOf(path); id.dev == machine.dev && id != machine && id.ino != 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// unmountAll unmounts whatever the machine has mounted under the state directory. The
// nodes' own mounts are in namespaces that have ended.
func (c *cluster) unmountAll() error {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var errs []error
	for _, line := range slices.Backward(slices.Collect(strings.Lines(string(data)))) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], c.dir+"/") {
			if err := unix.Unmount(fields[1], unix.MNT_DETACH); err != nil {
				errs = append(errs, fmt.Errorf("unmount %s: %w", fields[1], err))
			}
		}
	}
	return errors.Join(errs...)
}
