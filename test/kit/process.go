package kit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Memory is the resident memory of the process in a pod with one container, in bytes: the nodes' processes are this
// machine's.
func Memory(pod *corev1.Pod) (int64, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return 0, err
	}
	for _, path := range paths {
		cgroup, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(cgroup, []byte(pod.UID)) {
			continue // another pod's, or gone since
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
		if err != nil || strings.Contains(string(status), "Name:\tpause\n") {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
				return kb << 10, err
			}
		}
	}
	return 0, fmt.Errorf("memory of pod %s: no process of its cgroup on this machine", pod.Name)
}
