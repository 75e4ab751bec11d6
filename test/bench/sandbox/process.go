package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is one that was started, which may have children.
type Process struct {
	cmd *exec.Cmd
	log string
	// Ended is closed when it has ended.
	Ended chan struct{}
}

// Start starts a program on some CPUs; without any, on all. Its log is a file, and its standard output, too, unless that is taken.
func Start(cmd *exec.Cmd, log string, cpus []int) (*Process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stderr = file
	if cmd.Stdout == nil {
		cmd.Stdout = file
	}
	if err := OnCPUs(cpus, cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd, log: log, Ended: make(chan struct{})}
	go p.reap()
	return p, nil
}

// OnCPUs runs do on a thread that may only use some CPUs; without any, on all. What it starts inherits that.
func OnCPUs(cpus []int, do func() error) error {
	if len(cpus) == 0 {
		return do()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, during unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	for _, cpu := range cpus {
		during.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &during); err != nil {
		return err
	}
	return errors.Join(do(), unix.SchedSetaffinity(0, &before))
}

func (p *Process) reap() {
	_ = p.cmd.Wait() // how it ended is in its log
	close(p.Ended)
}

// Stop asks the process to end, and ends it if it does not.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.Ended:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.Ended
	}
}

// PID is the process itself.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// PIDs are the process and its children.
func (p *Process) PIDs() ([]int, error) {
	pids := []int{p.PID()}
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[0]))
	if err != nil {
		return nil, err
	}
	for _, file := range children {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("children of %s: %w", p.cmd.Path, err)
		}
		for field := range strings.FieldsSeq(string(data)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Tail is the end of the process's log.
func (p *Process) Tail() string {
	const most = 2 << 10
	file, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if size, err := file.Seek(0, io.SeekEnd); err == nil {
		_, _ = file.Seek(max(0, size-most), io.SeekStart)
	}
	data, _ := io.ReadAll(file)
	return string(data)
}
