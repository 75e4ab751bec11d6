package meter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Group is a memory cgroup, of version 1 or 2, in which the kernel counts what it allocates for the processes there:
// sockets, files, pipes, stacks, page tables, and the buffers of sockets.
type Group struct {
	dir string
	v1  bool
}

// NewGroup makes a group of a name in a parent of a name, which is made, too.
func NewGroup(parent, name string) (Group, error) {
	root, v1, err := hierarchy()
	if err != nil {
		return Group{}, err
	}
	g := Group{filepath.Join(root, parent, name), v1}
	if err := os.MkdirAll(filepath.Join(root, parent), 0o755); err != nil {
		return g, fmt.Errorf("memory cgroup: %w", err)
	}
	if !v1 {
		for _, dir := range []string{root, filepath.Join(root, parent)} {
			if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
				return g, fmt.Errorf("memory cgroup: %w", err)
			}
		}
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return g, fmt.Errorf("memory cgroup: %w", err)
	}
	if v1 {
		// Accepted sockets are only counted in a group that limits their buffers; in version 2, in every one.
		if err := os.WriteFile(filepath.Join(g.dir, "memory.kmem.tcp.limit_in_bytes"), []byte("1T"), 0); err != nil {
			return g, fmt.Errorf("memory cgroup: %w", err)
		}
	}
	return g, nil
}

// hierarchy finds where memory is counted.
func hierarchy() (root string, v1 bool, err error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", false, err
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) < 4:
		case fields[2] == "cgroup" && strings.Contains(","+fields[3]+",", ",memory,"):
			return fields[1], true, nil
		case fields[2] == "cgroup2":
			root = fields[1]
		}
	}
	if root == "" {
		return "", false, errors.New("no memory cgroups are mounted here")
	}
	return root, false, nil
}

// Add moves a process into the group.
func (g Group) Add(pid int) error {
	if err := os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		return fmt.Errorf("memory cgroup: %w", err)
	}
	return nil
}

// Kernel is the memory that the kernel holds for the group, in bytes.
func (g Group) Kernel() (int64, error) {
	if g.v1 {
		return g.sum(func(name string) (int64, error) {
			data, err := os.ReadFile(filepath.Join(g.dir, name))
			if err != nil {
				return 0, err
			}
			return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
		}, "memory.kmem.usage_in_bytes", "memory.kmem.tcp.usage_in_bytes")
	}
	return g.sum(func(name string) (int64, error) { return field(filepath.Join(g.dir, "memory.stat"), name) }, "kernel", "sock")
}

func (g Group) sum(read func(string) (int64, error), names ...string) (int64, error) {
	var sum int64
	for _, name := range names {
		n, err := read(name)
		if err != nil {
			return 0, fmt.Errorf("memory cgroup: %w", err)
		}
		sum += n
	}
	return sum, nil
}

// RemoveGroups removes what NewGroup made with a parent, once all processes there have ended: the kernel may call a group
// busy for a moment after that.
func RemoveGroups(parent string) error {
	root, _, err := hierarchy()
	if err != nil {
		return err
	}
	top := filepath.Join(root, parent)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		groups, err := filepath.Glob(filepath.Join(top, "*", "cgroup.procs"))
		if err != nil {
			return err
		}
		var failed error
		for _, group := range groups {
			failed = errors.Join(failed, removeGroup(filepath.Dir(group)))
		}
		if failed = errors.Join(failed, removeGroup(top)); failed == nil || time.Now().After(end) {
			return failed
		}
	}
}

func removeGroup(dir string) error {
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove memory cgroup %s: %w", dir, err)
	}
	return nil
}
