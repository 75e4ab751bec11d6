package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/test/bench/load"
	"tpa.dev/tpa/test/bench/report"
	"tpa.dev/tpa/test/bench/sandbox"
)

// setting is all that runs on one link and some CPUs, with every arm.
type setting struct {
	options
	name    string
	api     *apiserver.Server
	link    string
	network network
	// proxy and server are the addresses of the proxies and of the server.
	proxy, server string
	cpus          []int
	folder        string // for files
	groups        string // the parent of memory cgroups

	backend *sandbox.Process
	// client does the measuring, neighbor what happens beside it.
	client, neighbor *worker
	arms             []*arm
	places           int // that were given to proxies

	// round is the one that is measured.
	round int
	// rate is the most messages a second that HAProxy sends to and fro, once that has been measured.
	rate float64
}

// newSetting starts everything, for a purpose. The caller must call stop whatever it returns.
func newSetting(ctx context.Context, o options, purpose, link string, cpus []int, api *apiserver.Server) (*setting, error) {
	s := &setting{options: o, name: fmt.Sprintf("%s-%d-%s", link, len(cpus), purpose), api: api, link: link, cpus: cpus}
	run := sandbox.Folder()
	s.folder, s.groups = filepath.Join(run, s.name), filepath.Base(run)
	if err := os.Mkdir(s.folder, 0o755); err != nil {
		return s, err
	}
	var err error
	if s.network, err = connect(link); err != nil {
		return s, err
	}
	s.proxy, s.server = s.network.addresses()
	if s.backend, err = s.startServer(); err != nil {
		return s, err
	}
	if s.client, err = s.startWorker("client"); err != nil {
		return s, err
	}
	if s.neighbor, err = s.startWorker("neighbor"); err != nil {
		return s, err
	}
	for _, b := range o.builds {
		if err := s.startTPA(ctx, b); err != nil {
			return s, fmt.Errorf("start %s: %w", b.arm, err)
		}
	}
	for _, name := range o.anchors {
		if err := s.startAnchor(name); err != nil {
			return s, fmt.Errorf("start %s: %w", name, err)
		}
	}
	return s, nil
}

func (s *setting) startAnchor(name string) error {
	switch name {
	case report.Direct:
		s.arms = append(s.arms, &arm{
			name: name, echo: address(s.server, echoPort), bulk: address(s.server, bulkPort),
		})
		return nil
	case report.Nginx:
		return s.startNginx(name)
	default:
		return s.startHAProxy(name, name == report.HAProxyTuned)
	}
}

// stop ends everything.
func (s *setting) stop() error {
	for _, a := range s.arms {
		if a.Process != nil {
			a.Stop()
		}
	}
	for _, w := range []*worker{s.client, s.neighbor} {
		if w != nil {
			w.Stop()
		}
	}
	if s.backend != nil {
		s.backend.Stop()
	}
	return s.network.disconnect()
}

// do has the client do a job with an arm.
func (s *setting) do(ctx context.Context, a *arm, job load.Job) (load.Result, error) {
	return s.doBy(ctx, s.client, a, job)
}

func (s *setting) doBy(ctx context.Context, w *worker, a *arm, job load.Job) (load.Result, error) {
	job.Proxy, job.Server = a.proxy, []int{s.backend.PID()}
	result, err := w.do(ctx, job)
	if err == nil && result.Units == 0 {
		err = errors.New("nothing was done in time")
	}
	if err != nil {
		err = fmt.Errorf("%s: %s: %w", a.name, job.Kind, err)
		if a.Process != nil {
			err = fmt.Errorf("%w: its log ends with: %s", err, a.Tail())
		}
	}
	return result, err
}

// buildOf is what an arm is a proxy of, if it is one of TPA's.
func (s *setting) buildOf(a *arm) (build, bool) {
	i := slices.IndexFunc(s.builds, func(b build) bool { return b.arm == a.name })
	if i < 0 {
		return build{}, false
	}
	return s.builds[i], true
}

// warmUp is how long a job goes on before it counts: until windows and buffers have grown.
const warmUp = 200 * time.Millisecond
