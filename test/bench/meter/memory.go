package meter

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is the proportional set size of processes, in bytes: their own pages, and their share of those that they share.
func Memory(pids ...int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
		kib, err := field(path, "Pss:")
		if err != nil {
			return 0, err
		}
		sum += kib << 10
	}
	return sum, nil
}

// Descriptors is how many the processes have open.
func Descriptors(pids ...int) (int, error) {
	var sum int
	for _, pid := range pids {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return 0, fmt.Errorf("descriptors: %w", err)
		}
		sum += len(entries)
	}
	return sum, nil
}

// field is the number that follows a name at the beginning of a line.
func field(path, name string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", path, err)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s: no line %s", path, name)
}
