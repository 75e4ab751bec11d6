package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"tpa.dev/tpa/test/bench/load"
)

// role starts this program as a client or server. Nothing interrupts its system calls: the runtime's signals would.
func role(name, folder string, cpus []int, attach func(*exec.Cmd) error) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, name)
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1")
	if err := attach(cmd); err != nil {
		return nil, err
	}
	return start(cmd, filepath.Join(folder, name+".log"), cpus)
}

// worker is a client that does jobs, one after the other.
type worker struct {
	*process
	jobs    *json.Encoder
	results *json.Decoder
}

func newWorker(folder string, cpus []int) (*worker, error) {
	c := &worker{}
	var err error
	c.process, err = role(clientRole, folder, cpus, func(cmd *exec.Cmd) error {
		in, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		out, err := cmd.StdoutPipe()
		c.jobs, c.results = json.NewEncoder(in), json.NewDecoder(out)
		return err
	})
	return c, err
}

// do has a job done. The client is of no use any more if ctx ends before that.
func (c *worker) do(ctx context.Context, job load.Job) (load.Result, error) {
	var result load.Result
	done := make(chan error, 1)
	go func() {
		err := c.jobs.Encode(job)
		if err == nil {
			err = c.results.Decode(&result)
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return result, fmt.Errorf("the client ended: %w: %s", err, c.tail())
		}
	case <-ctx.Done():
		return load.Result{}, context.Cause(ctx)
	}
	if result.Error != "" {
		return result, errors.New(result.Error)
	}
	return result, nil
}

func newServer(folder string, cpus []int) (*process, error) {
	var out io.Reader
	p, err := role(serverRole, folder, cpus, func(cmd *exec.Cmd) (err error) {
		out, err = cmd.StdoutPipe()
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, fmt.Errorf("the server does not listen: %w: %s", err, p.tail())
	}
	return p, nil
}
