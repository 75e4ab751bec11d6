package main

import (
	"os"
	"strings"
)

// missingDirectories lists what the cluster needs outside of its own directory and
// the machine has not, parents first; down removes it again.
func missingDirectories() []string {
	var missing []string
	seen := map[string]bool{}
	for _, path := range append([]string{netnsDir}, fixedPaths...) {
		for i := 1; i <= len(path); i++ {
			if i < len(path) && path[i] != '/' {
				continue
			}
			dir := path[:i]
			if _, err := os.Stat(dir); err != nil && !seen[dir] {
				seen[dir] = true
				missing = append(missing, dir)
			}
		}
	}
	return missing
}

// readSysctls notes the kernel settings that every kubelet insists on changing, for
// the whole machine.
func readSysctls() map[string]string {
	values := map[string]string{}
	for _, key := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	} {
		if value, err := os.ReadFile("/proc/sys/" + key); err == nil {
			values[key] = strings.TrimSpace(string(value))
		}
	}
	return values
}
