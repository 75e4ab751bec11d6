package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// apply brings an app in and waits until it serves.
func (d *demo) apply(ctx context.Context, app string) (*corev1.Service, error) {
	if err := d.kubectl(ctx, "apply", "-f", "test/demo/"+app+".yaml"); err != nil {
		return nil, err
	}
	if err := d.kubectl(ctx, "-n", namespace, "wait", "deployment/"+app, "--for=condition=Available", "--timeout=60s"); err != nil {
		return nil, err
	}
	service, raw, err := d.kube.service(ctx, app)
	if err != nil {
		return nil, err
	}
	if d.before[app], err = newSnapshot(service, raw); err != nil {
		return nil, err
	}
	return service, d.reachable(ctx, service)
}

// reachable waits until the node that requests come from knows the Service. It is the one thing that is tried again
// here: a Service needs a moment with and without TPA.
func (d *demo) reachable(ctx context.Context, s *corev1.Service) error {
	return kit.Wait(ctx, 20*time.Second, "Service "+s.Name+" to be known on "+d.client.Name,
		func(ctx context.Context) (bool, string) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			conn, err := d.client.Dial(ctx, address(s))
			if err != nil {
				return false, err.Error()
			}
			conn.Close()
			return true, ""
		})
}

// nodesLearn is how long every node's kube-proxy may take to send new connections where a Service leads now, on a busy
// machine. Until then they go directly, and TPA does not know of them.
const nodesLearn = 2 * time.Second

func (d *demo) ordinaryApp(ctx context.Context) error {
	service, err := d.apply(ctx, "web")
	if err != nil {
		return err
	}
	reply, took, err := d.ask(ctx, service)
	if err != nil {
		return err
	}
	d.say("A request from %s to %s:", d.client.Name, address(service))
	d.good("answered in %s by pod %s", span(took), reply.Pod)
	return nil
}

// optIn is what a user does, and what clients notice of it.
func (d *demo) optIn(ctx context.Context) error {
	if err := d.record(ctx, "web"); err != nil {
		return err
	}
	d.say("Two clients ask all the time from here on. They should notice nothing.")
	clients := d.startClients(ctx, d.before["web"].service)
	err := d.manage(ctx, "web", clients)
	tally := clients.stop(ctx)
	if err != nil {
		return err
	}
	if tally.Failed() > 0 {
		return fmt.Errorf("requests were lost while the Service was taken over: %s", tally)
	}
	d.good("meanwhile %s, none lost; the slowest took %s", count(tally.Count[kit.OK], "request", "requests"), span(tally.Slowest))
	return nil
}

// manage opts a Service in and shows what becomes of it.
func (d *demo) manage(ctx context.Context, app string, clients *clients) error {
	if err := d.kubectl(ctx, "label", "namespace", namespace, contract.InjectLabel+"="+contract.InjectEnabled); err != nil {
		return err
	}
	if err := d.annotate(ctx, app); err != nil {
		return err
	}
	start := time.Now()
	service, err := d.awaitPhase(ctx, app, string(contract.Active), clients)
	if err != nil {
		return err
	}
	d.say("The Service leads through the proxy after %s; its address is the same:", span(time.Since(start)))
	d.compare(app, sideBySide(d.before[app].service, service))
	return d.pause(ctx, nodesLearn, func() string { return "clients go on: " + clients.soFar() })
}

func (d *demo) annotate(ctx context.Context, app string) error {
	return d.kubectl(ctx, "-n", namespace, "annotate", "service", app,
		contract.TargetKey+"="+app, contract.IdleTimeoutKey+"="+idleTimeout.String())
}

// awaitPhase waits until a Service has a phase; "-" is none.
func (d *demo) awaitPhase(ctx context.Context, app, want string, clients *clients) (*corev1.Service, error) {
	var service *corev1.Service
	start := time.Now()
	err := kit.Wait(ctx, 90*time.Second, fmt.Sprintf("Service %s to be in phase %s", app, want),
		func(ctx context.Context) (bool, string) {
			s, _, err := d.kube.service(ctx, app)
			if err != nil {
				return false, err.Error()
			}
			if service = s; phase(s) == want {
				return true, ""
			}
			live := fmt.Sprintf("%s %s to %s, %.1f s", contract.PhaseKey, phase(s), want, time.Since(start).Seconds())
			if clients != nil {
				live += ": " + clients.soFar()
			}
			d.live("%s", live)
			return false, "phase " + phase(s)
		})
	return service, err
}

func (d *demo) fallAsleep(ctx context.Context) error {
	d.say("The idle-timeout is %s. Since the last request:", idleTimeout)
	if err := d.watchSleep(ctx, "web"); err != nil {
		return err
	}
	if err := d.kubectl(ctx, "-n", namespace, "get", "deployments,pods", "-l", "app=web"); err != nil {
		return err
	}
	return d.recordSleep(ctx)
}

func (d *demo) wakeUp(ctx context.Context) error {
	service := d.before["web"].service
	d.say("A request from %s to %s, which no pod is behind:", d.client.Name, address(service))
	reply, took, err := d.ask(ctx, service)
	if err != nil {
		return err
	}
	d.good("answered in %s by a new pod, %s", span(took), reply.Pod)
	d.wakes = append(d.wakes, wake{"web, by HTTP", took})
	w, err := d.kube.workload(ctx, "web")
	if err != nil {
		return err
	}
	switch {
	case reply.Request != 1:
		return fmt.Errorf("the request that woke pod %s is its request number %d, so it was sent more than once", reply.Pod, reply.Request)
	case w.wanted != 1 || !slices.Contains(w.pods, reply.Pod):
		return fmt.Errorf("the Deployment is not what it was: %s", w)
	}
	reply, took, err = d.ask(ctx, service)
	if err != nil {
		return err
	}
	d.say("The next request: %s, by pod %s.", span(took), reply.Pod)
	return d.recordUse(ctx, service)
}

// pause lets something go on for a while.
func (d *demo) pause(ctx context.Context, during time.Duration, status func() string) error {
	end := time.After(during)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-end:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
			if d.tty {
				d.live("%s", status())
			}
		}
	}
}
