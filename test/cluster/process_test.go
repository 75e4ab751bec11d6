package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	tail := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21"
	for _, test := range []struct {
		name, stat string
		start      uint64
		running    bool
	}{
		{"plain", "17 (etcd)" + tail, 4242, true},
		{"spaces and parentheses", "17 (a) R (b c)" + tail, 4242, true},
		{"zombie", "17 (etcd) Z" + tail[2:], 0, false},
		{"cut short", "17 (etcd) S 1", 0, false},
		{"no command", "17", 0, false},
		{"empty", "", 0, false},
	} {
		start, running := parseStat(test.stat)
		if start != test.start || running != test.running {
			t.Errorf("%s: parseStat = %d, %v; want %d, %v", test.name, start, running, test.start, test.running)
		}
	}
}

// A recorded process must not be taken for another one with the same pid.
func TestProcessIdentity(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	start, running := processStart(cmd.Process.Pid)
	p := process{PID: cmd.Process.Pid, Start: start}
	if !running || !p.alive() {
		t.Error("a running process is not alive")
	}
	if (process{PID: p.PID, Start: p.Start - 1}).alive() {
		t.Error("another process with this pid is taken for the recorded one")
	}
	if parent(p.PID) != os.Getpid() {
		t.Errorf("parent = %d, want %d", parent(p.PID), os.Getpid())
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if p.alive() {
		t.Error("an ended process is alive")
	}
}

// What runs on holds no file that this program was started with.
func TestKeepInherited(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd, err := unix.Dup(int(w.Fd())) // as inherited: not closed on exec
	if err != nil {
		t.Fatal(err)
	}
	if err := keepInherited(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	_ = w.Close()
	_ = unix.Close(fd)
	_ = r.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the pipe is still open in what was started: %v", err)
	}
}

func TestIsOurCgroup(t *testing.T) {
	for path, want := range map[string]bool{
		"/tpa-system":                true,
		"/tpa-node1":                 true,
		"/tpa-node2/kubepods/pod1/x": true,
		"/":                          false,
		"":                           false,
		"/tpa-node":                  false,
		"/tpa-node12":                false,
		"/tpa-nodes/x":               false,
		"/user.slice/tpa-node1":      false,
		"/kubepods/besteffort":       false,
	} {
		if got := isOurCgroup(path); got != want {
			t.Errorf("isOurCgroup(%q) = %v, want %v", path, got, want)
		}
	}
}
