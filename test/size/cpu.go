package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticks is USER_HZ, which is 100 on every architecture that Go runs on.
const ticks = 100

// cpuTimes returns the seconds of CPU that this process, which plays everybody else, and its children have used, by name.
func cpuTimes() (map[string]float64, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	self := strconv.Itoa(os.Getpid())
	times := map[string]float64{}
	for _, stat := range stats {
		data, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		head, tail, ok := strings.Cut(string(data), ") ") // the name may hold anything, spaces too
		fields := strings.Fields(tail)
		pid, name, _ := strings.Cut(head, " (")
		if !ok || len(fields) < 13 {
			continue
		}
		if pid == self {
			name = "everybody else"
		} else if fields[1] != self {
			continue
		}
		user, err := strconv.ParseFloat(fields[11], 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", stat, err)
		}
		system, err := strconv.ParseFloat(fields[12], 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", stat, err)
		}
		times[name] += (user + system) / ticks
	}
	return times, nil
}
