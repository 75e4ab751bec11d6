package kit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// process is one of a pod's containers: the nodes' processes are this machine's.
type process struct {
	pid    int
	status string // as in /proc/PID/status
}

// processOf finds the process in a pod with one container.
func processOf(pod *corev1.Pod) (process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return process{}, err
	}
	for _, path := range paths {
		cgroup, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(cgroup, []byte(pod.UID)) {
			continue // another pod's, or gone since
		}
		dir := filepath.Dir(path)
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil || strings.Contains(string(status), "Name:\tpause\n") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		return process{pid, string(status)}, err
	}
	return process{}, fmt.Errorf("pod %s: no process of its cgroup on this machine", pod.Name)
}

// Memory is the resident memory of the process in a pod with one container, in bytes.
func Memory(pod *corev1.Pod) (int64, error) {
	p, err := processOf(pod)
	if err != nil {
		return 0, fmt.Errorf("memory: %w", err)
	}
	for line := range strings.Lines(p.status) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("memory of pod %s: process %d has none", pod.Name, p.pid)
}

// Crash kills the process in a pod with one container outright. A pod that is deleted, by force or not, is told to stop
// first; this one is told nothing.
func Crash(pod *corev1.Pod) error {
	p, err := processOf(pod)
	if err == nil {
		err = syscall.Kill(p.pid, syscall.SIGKILL)
	}
	if err != nil {
		return fmt.Errorf("crash: %w", err)
	}
	return nil
}
