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
	"tpa.dev/tpa/test/bench/sandbox"
)

// startRole starts this program in a role. Nothing interrupts its system calls: the runtime's signals would.
func (s *setting) startRole(role, name, network string, attach func(*exec.Cmd) error) (*sandbox.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := s.network.in(network, self, role)
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1")
	if err := attach(cmd); err != nil {
		return nil, err
	}
	return sandbox.Start(cmd, filepath.Join(s.folder, name+".log"), s.cpus)
}

// startServer starts the server, and waits until it listens.
func (s *setting) startServer() (*sandbox.Process, error) {
	var out io.Reader
	p, err := s.startRole(serverRole, "server", serverNetwork, func(cmd *exec.Cmd) (err error) {
		out, err = cmd.StdoutPipe()
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, fmt.Errorf("the server does not listen: %w: %s", err, p.Tail())
	}
	return p, nil
}

// worker is a client that does jobs, one after the other.
type worker struct {
	*sandbox.Process
	jobs    *json.Encoder
	results *json.Decoder
}

func (s *setting) startWorker(name string) (*worker, error) {
	w := &worker{}
	var err error
	w.Process, err = s.startRole(clientRole, name, clientNetwork, func(cmd *exec.Cmd) error {
		in, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		out, err := cmd.StdoutPipe()
		w.jobs, w.results = json.NewEncoder(in), json.NewDecoder(out)
		return err
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// do has a job done. It is of no use any more if ctx ends before that.
func (w *worker) do(ctx context.Context, job load.Job) (load.Result, error) {
	var result load.Result
	done := make(chan error, 1)
	go func() {
		err := w.jobs.Encode(job)
		if err == nil {
			err = w.results.Decode(&result)
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return result, fmt.Errorf("the client ended: %w: %s", err, w.Tail())
		}
	case <-ctx.Done():
		return load.Result{}, context.Cause(ctx)
	}
	if result.Error != "" {
		return result, errors.New(result.Error)
	}
	return result, nil
}
