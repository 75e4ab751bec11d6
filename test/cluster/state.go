package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lockFile is that of all clusters of the machine.
const lockFile = "/run/tpa-cluster.lock"

// own is the name of something that a cluster has outside of its state directory. The machine can hold one cluster of
// each name: these names are fixed, so that a later run finds the leftovers of any earlier one.
func own(name string) string {
	if cluster := os.Getenv("TPA_CLUSTER"); cluster != "" {
		return "tpa-" + cluster + "-" + name
	}
	return "tpa-" + name
}

// ownerFile says where the state of the cluster is that holds the names.
func ownerFile() string { return filepath.Join("/run", own("cluster.json")) }

// cluster is where one clone keeps its cluster.
type cluster struct {
	root string // the repository
	dir  string // the state, usually root/.cluster
}

func (c *cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.dir}, elem...)...)
}
func (c *cluster) kubeconfig() string         { return c.path("kubeconfig") }
func (c *cluster) logFile(name string) string { return c.path("logs", name+".log") }

// state is what is known of a cluster between two commands. Whatever up is about to
// create is written here first, so that down finds it after a crash.
type state struct {
	Nodes     int               `json:"nodes"`
	Complete  bool              `json:"complete"` // up went through
	Started   time.Time         `json:"started"`
	Cache     string            `json:"cache"`     // the programs of this version
	Made      []string          `json:"made"`      // directories outside of .cluster that were missing
	Sysctls   map[string]string `json:"sysctls"`   // what the kubelet will overwrite
	Processes []process         `json:"processes"` // those started so far
}

// findCluster locates the repository upwards from the working directory, or else
// from this program, which is built into its bin directory.
func findCluster() (*cluster, error) {
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	for _, start := range starts {
		for dir := start; ; dir = filepath.Dir(dir) {
			if isRepository(dir) {
				c := &cluster{root: dir, dir: filepath.Join(dir, ".cluster")}
				if other := os.Getenv("TPA_CLUSTER_DIR"); other != "" {
					abs, err := filepath.Abs(other)
					if err != nil {
						return nil, fmt.Errorf("TPA_CLUSTER_DIR: %w", err)
					}
					c.dir = abs
				}
				return c, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return nil, errors.New("not inside TPA's repository: no go.mod of module tpa.dev/tpa from here upwards")
}

func isRepository(dir string) bool {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(mod)) {
		if strings.TrimSpace(line) == "module tpa.dev/tpa" {
			return true
		}
	}
	return false
}

// load returns the state, or nil if there is none.
func (c *cluster) loadState() (*state, error) {
	data, err := os.ReadFile(c.path("state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cluster state: %w", err)
	}
	s := new(state)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("cluster state %s: %w", c.path("state.json"), err)
	}
	return s, nil
}

func (c *cluster) saveState(s *state) error {
	if err := writeJSON(c.path("state.json"), s); err != nil {
		return fmt.Errorf("cluster state: %w", err)
	}
	return nil
}

// runningState is loadState for the commands that need a cluster.
func (c *cluster) runningState() (*state, error) {
	if err := requireRoot(); err != nil {
		return nil, err
	}
	s, err := c.loadState()
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return nil, errors.New("no cluster is running; start one with `bin/cluster up`")
	case !s.Complete:
		return nil, errors.New("the cluster is not up (an `up` runs, or was interrupted); see `bin/cluster status`")
	}
	return s, nil
}

type owner struct {
	Dir string `json:"dir"`
}

// owner returns the state directory of the cluster that holds this machine, or "".
func machineOwner() string {
	data, err := os.ReadFile(ownerFile())
	var o owner
	if err != nil || json.Unmarshal(data, &o) != nil {
		return ""
	}
	return o.Dir
}

// otherOwner returns the directory of another clone's cluster, if one is really
// there; a clone that was deleted with its cluster running does not count.
func (c *cluster) otherOwner() string {
	dir := machineOwner()
	if dir == "" || dir == c.dir {
		return ""
	}
	if _, err := os.Stat(filepath.Join(dir, "state.json")); err != nil {
		return ""
	}
	return dir
}

// lock makes up, down and load of all clones take turns. The kernel drops it when
// the process ends, however it ends.
func lock(what string) (unlock func(), err error) {
	f, err := os.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		fmt.Fprintf(os.Stderr, "%s: waiting for another cluster command to finish\n", what)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", lockFile, err)
	}
	return func() { f.Close() }, nil
}

// writeJSON replaces a file in one step: a reader, or a crash, sees the old or the
// new content.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
