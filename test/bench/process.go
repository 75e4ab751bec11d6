package main

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

// process is one that was started, which may have children.
type process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// start starts a program on some CPUs. Its log is a file, and its standard output, too, unless that is taken.
func start(cmd *exec.Cmd, log string, cpus []int) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stderr = file
	if cmd.Stdout == nil {
		cmd.Stdout = file
	}
	if err := onCPUs(cpus, cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &process{cmd: cmd, log: log, ended: make(chan struct{})}
	go p.reap()
	return p, nil
}

// onCPUs runs do on a thread that may only use some CPUs. What it starts inherits that.
func onCPUs(cpus []int, do func() error) error {
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

func (p *process) reap() {
	_ = p.cmd.Wait() // how it ended is in its log
	close(p.ended)
}

// stop asks the process to end, and ends it if it does not.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// pids are the process and its children.
func (p *process) pids() ([]int, error) {
	pids := []int{p.pid()}
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

// tail is the end of the process's log.
func (p *process) tail() string {
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
