package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is one process that up started. A pid alone says nothing after the
// process has ended: with its start time (clock ticks since boot) it is unique.
type process struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
	Log   string `json:"log"`
	// Stopped says that `cluster stop` ended it, and Invocation how to start it again.
	Stopped    bool        `json:"stopped,omitempty"`
	Invocation *invocation `json:"invocation,omitempty"`
}

// errEnded is what becomes of a component that nobody has stopped.
var errEnded = errors.New("it has ended")

// alive says whether this very process still runs.
func (p process) alive() bool {
	start, running := processStart(p.PID)
	return running && start == p.Start
}

// condition is what status says of it.
func (p process) condition() string {
	switch {
	case p.alive():
		return "running"
	case p.Stopped:
		return "stopped"
	}
	return "ended"
}

// processStart returns when pid started; a zombie does not count as running.
func processStart(pid int) (start uint64, running bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	return parseStat(string(data))
}

// parseStat reads start time (field 22) and state (3) of a /proc/PID/stat line. The
// command (2) is in parentheses and may contain both spaces and parentheses.
func parseStat(stat string) (start uint64, running bool) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, false
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, false
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	return start, err == nil
}

// parent returns the parent of pid, or 0.
func parent(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	stat := string(data)
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
}

// memory returns the resident memory of pid in bytes.
func memory(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// startDetached starts a program that outlives this one, its output in a log file.
// Namespaces are those of the calling thread. exited is closed when it ends.
func startDetached(name, log string, env []string, argv []string) (p process, exited <-chan struct{}, err error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return process{}, nil, fmt.Errorf("%s: %w", name, err)
	}
	defer out.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := keepInherited(); err != nil {
		return process{}, nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := startOurs(cmd); err != nil {
		return process{}, nil, fmt.Errorf("%s: %w", name, err)
	}
	start, _ := processStart(cmd.Process.Pid)
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return process{Name: name, PID: cmd.Process.Pid, Start: start, Log: log}, ended, nil
}

// keepInherited keeps the files that this program was started with from what it
// starts: a lock that a shell took for the time of a command, for one, would be held
// for as long as the cluster runs.
func keepInherited() error {
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close_range: %w", err)
	}
	return nil
}

// componentError is the failure of one component, which shows the end of its log.
type componentError struct {
	Component string
	Log       string
	Err       error
}

func (e *componentError) Error() string { return fmt.Sprintf("%s: %v", e.Component, e.Err) }
func (e *componentError) Unwrap() error { return e.Err }

// Tail is the end of the component's log and where to read the rest.
func (e *componentError) Tail() string {
	data, err := os.ReadFile(e.Log)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if len(lines) > 25 {
		lines = lines[len(lines)-25:]
	}
	for i, line := range lines {
		if len(line) > 400 {
			line = line[:400] + " ..."
		}
		lines[i] = "  | " + line
	}
	return fmt.Sprintf("the end of %s:\n%s\n", e.Log, strings.Join(lines, "\n"))
}
