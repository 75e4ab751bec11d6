package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// up starts a cluster, or makes sure that the running one is what is asked for.
func (c *cluster) up(ctx context.Context, nodes int, given bool) error {
	if err := checkMachine(); err != nil {
		return err
	}
	unlock, err := lock("up")
	if err != nil {
		return err
	}
	defer unlock()
	if other := c.otherOwner(); other != "" {
		return fmt.Errorf("another cluster runs on this machine, that of %s; stop it first: cd %s && bin/cluster down",
			other, filepath.Dir(other))
	}
	s, err := c.loadState()
	if err != nil {
		return err
	}
	p := newProgress(os.Stdout)
	if s != nil && s.Complete && s.anyAlive() {
		return c.checkRunning(ctx, s, nodes, given)
	}
	if s != nil || machineOwner() != "" || len(ourCgroups()) > 0 || len(ourNetns()) > 0 {
		if err := p.step(ctx, "removing what is left of an earlier cluster", "", c.remove); err != nil {
			return err
		}
	}
	if err := c.create(ctx, p, nodes); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		return fmt.Errorf("%w\n(`bin/cluster down` removes what was started; logs are in %s)", err, c.path("logs"))
	}
	fmt.Printf("Kubernetes %s with %d node(s) is up after %s; try: bin/cluster kubectl get nodes\n",
		kubernetesVersion, nodes, elapsed(time.Since(p.begin)))
	return nil
}

// checkRunning is up on a cluster that was started already.
func (c *cluster) checkRunning(ctx context.Context, s *state, nodes int, given bool) error {
	if given && nodes != s.Nodes {
		return fmt.Errorf("a cluster with %d node(s) is running, not %d; `bin/cluster down` first", s.Nodes, nodes)
	}
	for _, p := range s.Processes {
		if p.condition() == "stopped" {
			return fmt.Errorf("%s is stopped; `bin/cluster start %s` starts it again", p.Name, p.Name)
		}
		if !p.alive() {
			return &componentError{p.Name, p.Log,
				errors.New("it has ended, so this cluster is broken; `bin/cluster down` and `up` make a new one")}
		}
	}
	run := &starter{c: c, s: s}
	if err := run.waitHealthy(ctx, 10*time.Second); err != nil {
		return fmt.Errorf("the cluster runs but is not healthy: %w (`bin/cluster down` and `up` make a new one)", err)
	}
	fmt.Printf("Kubernetes %s with %d node(s) is up already, since %s\n",
		kubernetesVersion, s.Nodes, s.Started.Format("15:04"))
	return nil
}

// create starts a cluster where there is none.
func (c *cluster) create(ctx context.Context, p *progress, nodes int) error {
	if err := os.RemoveAll(c.path("logs")); err != nil {
		return err
	}
	if err := os.MkdirAll(c.path("logs"), 0o755); err != nil {
		return err
	}
	if missing := missingPackages(); len(missing) > 0 {
		err := p.step(ctx, "installing "+strings.Join(missing, " "), "first time only, about 30 s",
			func(ctx context.Context) error { return installPackages(ctx, missing, c.logFile("packages")) })
		if err != nil {
			return err
		}
	}
	cache, err := c.buildPrograms(ctx, p)
	if err != nil {
		return err
	}
	// Before the first thing is made: the means to find it again.
	s := &state{Nodes: nodes, Started: time.Now(), Cache: cache, Made: missingDirectories(), Sysctls: readSysctls()}
	if err := c.saveState(s); err != nil {
		return err
	}
	if err := writeJSON(ownerFile(), owner{c.dir}); err != nil {
		return err
	}
	run := &starter{c: c, s: s}
	raiseFileLimit()
	var all []*node
	prepare := func(context.Context) error {
		all, err = c.prepare(run, nodes)
		return err
	}
	if err := p.step(ctx, "making certificates, networks and cgroups", "", prepare); err != nil {
		return err
	}
	if err := p.step(ctx, "starting etcd, API server and containerd", "", func(ctx context.Context) error {
		return c.startBase(ctx, all, cache)
	}); err != nil {
		return err
	}
	if err := p.step(ctx, "starting controllers, kubelets and cert-manager", "", func(ctx context.Context) error {
		return startRest(ctx, all, cache)
	}); err != nil {
		return err
	}
	if err := p.step(ctx, "waiting for nodes and Services", "", func(ctx context.Context) error {
		return run.waitHealthy(ctx, 60*time.Second)
	}); err != nil {
		return err
	}
	s.Complete = true
	return c.saveState(s)
}

func (c *cluster) prepare(run *starter, nodes int) ([]*node, error) {
	if err := c.writePKI(nodes); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	for _, dir := range run.s.Made {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := createNetwork(nodes); err != nil {
		return nil, err
	}
	var all []*node
	for n := 1; n <= nodes; n++ {
		if err := createNodeCgroup(n); err != nil {
			return nil, err
		}
		node, err := newNode(c, run, n)
		if err != nil {
			return nil, err
		}
		all = append(all, node)
	}
	return all, nil
}

// startBase starts what everything else waits for.
func (c *cluster) startBase(ctx context.Context, all []*node, cache string) error {
	pause := c.path("pause.tar")
	err := writeImage(imageSpec{
		Name: pauseImage, Out: pause, Entrypoint: []string{"/pause"},
		Sources: []source{{From: cache + "/pause", To: "/pause"}},
	})
	if err != nil {
		return fmt.Errorf("pause image: %w", err)
	}
	work := []func(context.Context) error{
		func(ctx context.Context) error { return startAPI(ctx, all[0], cache) },
	}
	for _, node := range all {
		work = append(work, func(ctx context.Context) error { return node.startContainerd(ctx, pause) })
	}
	return together(ctx, work...)
}

func startRest(ctx context.Context, all []*node, cache string) error {
	work := []func(context.Context) error{
		func(context.Context) error { return startControllers(all[0], cache) },
		func(ctx context.Context) error { return startCertManager(ctx, all[0], cache) },
	}
	for _, node := range all {
		work = append(work, func(context.Context) error { return node.startKubelet(cache) })
	}
	return together(ctx, work...)
}

// waitHealthy waits until the cluster does what a cluster must: every node is Ready
// and reaches a ClusterIP, pods can be created, cert-manager's controllers work.
func (r *starter) waitHealthy(ctx context.Context, limit time.Duration) error {
	api, err := newAPI(r.c)
	if err != nil {
		return err
	}
	work := []func(context.Context) error{
		func(ctx context.Context) error {
			return r.wait(ctx, "ServiceAccount default", limit, func() error {
				return api.exists(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
			})
		},
		func(ctx context.Context) error {
			return r.wait(ctx, "cert-manager", limit, func() error { return dialAndClose(1, certManagerHealth) })
		},
	}
	for n := 1; n <= r.s.Nodes; n++ {
		work = append(work, func(ctx context.Context) error {
			return r.wait(ctx, nodeName(n), limit, func() error {
				return api.condition(ctx, "/api/v1/nodes/"+nodeName(n), "Ready")
			})
		}, func(ctx context.Context) error {
			return r.wait(ctx, "kube-proxy on "+nodeName(n), limit, func() error {
				return dialAndClose(n, apiClusterIP+":443")
			})
		})
	}
	return together(ctx, work...)
}

func dialAndClose(n int, addr string) error {
	conn, err := dialFrom(n, addr)
	if err == nil {
		conn.Close()
	}
	return err
}

// raiseFileLimit lets the components open as many files as the machine allows.
func raiseFileLimit() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}
