package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cgroupMounts lists where cgroup hierarchies are mounted: v1, one for each
// controller, with the v2 hierarchy beside them or not; or v2 alone.
func cgroupMounts() (v1 []string, v2 string) {
	data, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.HasPrefix(fields[1], "/sys/fs/cgroup") {
			continue
		}
		switch fields[2] {
		case "cgroup":
			v1 = append(v1, fields[1])
		case "cgroup2":
			v2 = fields[1]
		}
	}
	return v1, v2
}

// cgroupRoots are the hierarchies in which pods get their groups.
func cgroupRoots() []string {
	v1, v2 := cgroupMounts()
	if len(v1) > 0 {
		return v1
	}
	if v2 != "" {
		return []string{v2}
	}
	return nil
}

// createNodeCgroup makes the group that a kubelet puts its pods under. The kubelet
// wants it to exist in every hierarchy; in v1, cpuset takes no process before it has
// been told its CPUs.
func createNodeCgroup(n int) error {
	v1, v2 := cgroupMounts()
	for _, root := range cgroupRoots() {
		dir := filepath.Join(root, nodeCgroup(n))
		if len(v1) == 0 {
			enableControllers(v2)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		if len(v1) == 0 {
			enableControllers(dir)
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(root, file))
			if err != nil || len(v1) == 0 {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, file), value, 0); err != nil {
				return fmt.Errorf("cgroup: %w", err)
			}
		}
	}
	return nil
}

// enableControllers passes every controller of a v2 group on to its children. What
// is refused here the kubelet reports by name.
func enableControllers(dir string) {
	names, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	for _, name := range strings.Fields(string(names)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+name), 0)
	}
}

// startOurs starts a process in the v2 group of all that up starts, where its
// descendants stay as well. The group accounts for nothing: it is how down finds them.
// A kernel without a v2 hierarchy is left to the other ways of finding them.
func startOurs(cmd *exec.Cmd) error {
	_, v2 := cgroupMounts()
	if v2 == "" {
		return cmd.Start()
	}
	dir := filepath.Join(v2, own("system"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	group, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	defer group.Close()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	return cmd.Start()
}

// ourCgroups lists every top-level group of a cluster, in every hierarchy.
func ourCgroups() []string {
	v1, v2 := cgroupMounts()
	var groups []string
	for _, root := range append(v1, v2) {
		if root == "" {
			continue
		}
		found, _ := filepath.Glob(filepath.Join(root, "tpa-*"))
		groups = append(groups, slices.DeleteFunc(found, func(path string) bool {
			return !isOurCgroup("/" + filepath.Base(path))
		})...)
	}
	return groups
}

// isOurCgroup says whether a path as in /proc/PID/cgroup belongs to a cluster.
func isOurCgroup(path string) bool {
	top, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if top == own("system") {
		return true
	}
	for n := 1; n <= maxNodes; n++ {
		if top == nodeCgroup(n) {
			return true
		}
	}
	return false
}

// removeCgroups removes our groups, leaves first. The kernel may call a group busy
// for a moment after its last process is gone.
func removeCgroups() error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		var failed error
		for _, group := range ourCgroups() {
			var dirs []string
			_ = filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			slices.Reverse(dirs)
			for _, dir := range dirs {
				if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
					failed = fmt.Errorf("cgroup %s: %w", dir, err)
				}
			}
		}
		if failed == nil || time.Now().After(deadline) {
			return failed
		}
		time.Sleep(50 * time.Millisecond)
	}
}
