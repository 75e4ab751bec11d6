package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/test/bench/load"
	"tpa.dev/tpa/test/bench/report"
)

// loopback is the link of a node's processes to themselves.
const loopback = "loopback"

// setting is all that runs on one link and some CPUs, with every arm.
type setting struct {
	name, link string
	cpus       []int
	folder     string
	// proxy and server are the addresses of the proxies and of the server.
	proxy, server string

	client  *worker
	backend *process
	arms    []*arm
	places  int
}

// newSetting starts everything. The caller must call stop whatever it returns.
func newSetting(ctx context.Context, o options, folder, link string, cpus []int, api *apiserver.Server) (*setting, error) {
	s := &setting{
		name: fmt.Sprintf("%s-%d", link, len(cpus)), link: link, cpus: cpus,
		proxy: "127.0.0.1", server: "127.0.0.1",
	}
	s.folder = filepath.Join(folder, s.name)
	if err := os.Mkdir(s.folder, 0o755); err != nil {
		return s, err
	}
	var err error
	if s.backend, err = newServer(s.folder, cpus); err != nil {
		return s, err
	}
	if s.client, err = newWorker(s.folder, cpus); err != nil {
		return s, err
	}
	for _, b := range o.proxies {
		p, err := s.newPlace(b.arm)
		if err != nil {
			return s, err
		}
		if err := s.startTPA(ctx, api, b, p); err != nil {
			return s, fmt.Errorf("start %s: %w", b.arm, err)
		}
	}
	for _, name := range o.arms {
		if err := s.startAnchor(name); err != nil {
			return s, fmt.Errorf("start %s: %w", name, err)
		}
	}
	return s, nil
}

func (s *setting) startAnchor(name string) error {
	if name == report.Direct {
		s.arms = append(s.arms, &arm{name: name, echo: address(s.server, echoPort), bulk: address(s.server, bulkPort)})
		return nil
	}
	p, err := s.newPlace(name)
	if err != nil {
		return err
	}
	if name == report.Nginx {
		return s.startNginx(p)
	}
	return s.startHAProxy(name, p)
}

func (s *setting) stop() {
	for _, a := range s.arms {
		if a.process != nil {
			a.stop()
		}
	}
	if s.client != nil {
		s.client.stop()
	}
	if s.backend != nil {
		s.backend.stop()
	}
}

// do has the client do a job with an arm.
func (s *setting) do(ctx context.Context, a *arm, job load.Job) (load.Result, error) {
	job.Proxy, job.Server = a.proxy, []int{s.backend.cmd.Process.Pid}
	result, err := s.client.do(ctx, job)
	if err == nil && result.Units == 0 {
		err = errors.New("nothing was done in time")
	}
	if err != nil {
		err = fmt.Errorf("%s: %s: %w", a.name, job.Kind, err)
		if a.process != nil {
			err = fmt.Errorf("%w: log: %s", err, a.tail())
		}
	}
	return result, err
}

// warmUp is how long a job goes on before it counts: until windows and buffers have grown.
const warmUp = 200 * time.Millisecond
