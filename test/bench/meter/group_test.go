//go:build integration

package meter

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// pipesEnv has this program fill pipes, see fillPipes.
const pipesEnv = "METER_TEST_PIPES"

// A pipe that holds a byte holds a page.
const (
	pipes    = 200
	pageSize = 4096
)

func TestMain(m *testing.M) {
	if os.Getenv(pipesEnv) != "" {
		if err := fillPipes(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fillPipes makes pipes when it is told to, says so, and ends when it is told to.
func fillPipes() error {
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	var files []*os.File
	for range pipes {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		files = append(files, r, w)
		if _, err := w.Write([]byte{1}); err != nil {
			return err
		}
	}
	fmt.Println(len(files), "files")
	_, err := in.ReadString('\n')
	return err
}

// TestGroupCountsWhatTheKernelHolds: pipes that a process makes are counted in its group, and nothing of it is left.
func TestGroupCountsWhatTheKernelHolds(t *testing.T) {
	parent := fmt.Sprintf("tpa-meter-test-%d", os.Getpid())
	group, err := NewGroup(parent, "pipes")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := RemoveGroups(parent); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Dir(group.dir)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", filepath.Dir(group.dir), err)
		}
	}()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), pipesEnv+"=1"), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_, _ = in.Write([]byte("\n"))
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	if err := group.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	before, err := group.Kernel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	after, err := group.Kernel()
	if err != nil {
		t.Fatal(err)
	}
	if grown := after - before; grown < pipes*pageSize || grown > 8*pipes*pageSize {
		t.Errorf("%d bytes for %d pipes with a page each", grown, pipes)
	}
}
