package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"tpa.dev/tpa/test/bench/meter"
)

// folderEnv is the run's folder, for the process inside.
const folderEnv = "TPA_SANDBOX_FOLDER"

// Folder is the run's, for files and by its base name for memory cgroups, of a process inside. It goes with the run.
func Folder() string { return os.Getenv(folderEnv) }

// Run runs this program again, with other arguments, in namespaces of its own, until that ends. The kernel ends all that
// lives in there when its first process ends, and removes its network; that process ends with this one.
func Run(ctx context.Context, args ...string) (err error) {
	folder, err := os.MkdirTemp("", "tpa-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder), meter.RemoveGroups(filepath.Base(folder))) }()
	if err := os.Chmod(folder, 0o755); err != nil { // proxies run as other users
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), folderEnv+"="+folder, "TMPDIR="+folder)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
		Setsid:     true, // a terminal's interrupt reaches it by way of this process
	}
	runtime.LockOSThread() // Pdeathsig is about the thread that starts it
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s in namespaces of its own: %w", self, err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s %v failed: %w", filepath.Base(self), args, err)
	}
	return nil
}

// Furnish prepares the namespaces that this process is the first of.
func Furnish(nice int) error {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	limit.Cur = limit.Max // set, and not only inherited, so that Go passes it on
	err = errors.Join(err,
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit),
		syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("proc", "/proc", "proc", 0, ""),
		syscall.Mount("run", "/run", "tmpfs", 0, "")) // where networks have names
	if err != nil {
		return fmt.Errorf("set up namespaces: %w", err)
	}
	if err := prioritize(nice); err != nil {
		return err
	}
	if err := Command("ip", "link", "set", "lo", "up"); err != nil {
		return err
	}
	// Thousands of connections a second between the same two addresses use the ports up, unless those are reused.
	return Set("net/ipv4/tcp_tw_reuse")
}

// prioritize sets the nice value of all that runs in here, and of this session: where the kernel divides CPU time among
// sessions first, only that one counts for others.
func prioritize(nice int) error {
	if err := syscall.Setpriority(syscall.PRIO_PGRP, 0, nice); err != nil {
		return fmt.Errorf("set priority: %w", err)
	}
	err := os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(nice)), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set the session's priority: %w", err)
	}
	return nil
}

// Set switches a setting of the kernel on.
func Set(name string) error { return os.WriteFile("/proc/sys/"+name, []byte("1"), 0) }

// Command runs a program that is silent when all is well.
func Command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}
