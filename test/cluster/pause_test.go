package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A component that is paused stays, does not run, and goes on when it is resumed.
func TestPause(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, as every command that reads the state does")
	}
	c := &cluster{dir: t.TempDir()}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	start, _ := processStart(cmd.Process.Pid)
	if err := c.saveState(&state{Complete: true, Processes: []process{{Name: "sleeper", PID: cmd.Process.Pid, Start: start}}}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		do   func([]string) error
		want string
	}{{c.pause, "T"}, {c.resume, "S"}} {
		if err := step.do([]string{"sleeper"}); err != nil {
			t.Fatal(err)
		}
		if err := poll(t.Context(), 10*time.Second, func() (error, error) {
			return inState(cmd.Process.Pid, step.want), nil
		}); err != nil {
			t.Error(err)
		}
	}
	if err := c.pause([]string{"nobody"}); err == nil || !strings.Contains(err.Error(), "there are sleeper") {
		t.Errorf("pause of what is not there: %v", err)
	}
}

// inState returns an error unless a process is in a state of /proc/PID/stat.
func inState(pid int, want string) error {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return err
	}
	text := string(stat)
	if got := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])[0]; got != want {
		return fmt.Errorf("its state is %s, not %s", got, want)
	}
	return nil
}
