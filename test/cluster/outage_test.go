package main

import (
	"errors"
	"os/exec"
	"reflect"
	"slices"
	"testing"
	"time"
)

// A process that is stopped is remembered as it was started, and told from one that ended by itself.
func TestStopProcess(t *testing.T) {
	c := &cluster{dir: t.TempDir()}
	cmd := exec.Command("sh", "-c", "sleep 60; true", "", "x")
	cmd.Env = []string{"KUBECONFIG=/a b", "EMPTY="}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }() // else it would stay as a zombie of this test
	// A program has no command for a moment after Start: the kernel lets go of the old one before it shows the new one.
	if err := poll(t.Context(), 10*time.Second, func() (error, error) {
		_, err := invocationOf(cmd.Process.Pid)
		return err, nil
	}); err != nil {
		t.Fatal(err)
	}
	start, _ := processStart(cmd.Process.Pid)
	s := &state{Processes: []process{{Name: "sleeper", PID: cmd.Process.Pid, Start: start}}}
	p := &s.Processes[0]
	if got := p.condition(); got != "running" {
		t.Errorf("before: %s", got)
	}
	for range 2 { // the second time there is nothing to do
		if err := c.stopProcess(s, p); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.condition(); got != "stopped" || p.alive() {
		t.Errorf("after: %s, alive %t", got, p.alive())
	}
	saved, err := c.loadState()
	if err != nil {
		t.Fatal(err)
	}
	want := &invocation{Args: cmd.Args, Env: cmd.Env}
	if got := saved.Processes[0].Invocation; !reflect.DeepEqual(got, want) {
		t.Errorf("saved %+v, want %+v", got, want)
	}

	p.Stopped, p.Invocation = false, nil
	if got := p.condition(); got != "ended" {
		t.Errorf("ended by itself: %s", got)
	}
	run := &starter{c: c, s: s}
	if err := run.startAgain(t.Context(), p); !errors.Is(err, errEnded) {
		t.Errorf("start of what was not stopped: %v", err)
	}
	if err := c.stopProcess(s, p); !errors.Is(err, errEnded) {
		t.Errorf("stop of what has ended: %v", err)
	}
	if _, err := invocationOf(p.PID); err == nil {
		t.Error("a process that has ended has a command")
	}
}

func TestNodeOfComponent(t *testing.T) {
	for name, want := range map[string]int{
		"etcd": 1, "kube-apiserver": 1, "cert-manager": 1, "kubelet-node1": 1, "kube-proxy-node2": 2, "containerd-node4": 4,
	} {
		if got := (process{Name: name}).node(); got != want {
			t.Errorf("%s is on node %d, want %d", name, got, want)
		}
	}
}

// Only what still runs can lend its namespaces.
func TestNeighbour(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	start, _ := processStart(cmd.Process.Pid)
	runs := func(name string) process { return process{Name: name, PID: cmd.Process.Pid, Start: start} }
	all := []process{{Name: "kubelet-node2"}, runs("kube-proxy-node2"), {Name: "etcd"}, runs("kube-apiserver"), runs("kubelet-node1")}
	for of, want := range map[string]string{
		"kubelet-node2": "kube-proxy-node2", "kube-proxy-node2": "", "etcd": "kube-apiserver", "kube-apiserver": "kubelet-node1",
	} {
		s := &state{Processes: slices.Clone(all)}
		if got, ok := s.neighbour(process{Name: of}); got.Name != want || ok != (want != "") {
			t.Errorf("beside %s: %q, want %q", of, got.Name, want)
		}
	}
}
