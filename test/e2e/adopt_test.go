//go:build e2e

package e2e

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// TestAnnotate annotates a Service that is in use. Its clients notice nothing but that another pod calls the app.
func TestAnnotate(t *testing.T) {
	f := setUp(t)
	app := f.app("web", 2)
	f.create(app.Deployment(), app.Service(nil))
	f.ready("web", 2)
	to := address(f.service("web"), 80)
	f.reachable(to)

	fresh := kit.StartLoad(f.ctx, kit.Load{From: f.far, Address: to, App: "web-", Clients: 4})
	kept := kit.StartLoad(f.ctx, kit.Load{From: f.far, Address: to, App: "web-", Clients: 2, KeepAlive: true})
	f.wait("clients to be answered", answers(fresh, 50))
	direct := fresh.Tally().Peers

	trail := f.followService("web")
	f.annotate("web", contract.TargetKey, "web")
	f.annotate("web", contract.IdleTimeoutKey, "10m")
	f.active("web")
	f.proxied(to)
	f.wait("clients to be answered through the proxies", answers(fresh, 200))
	f.wait("kept connections to be answered", answers(kept, 50))

	through := fresh.Stop()
	if through.Failed() > 0 {
		t.Errorf("new connections: %s", through)
	}
	proxies := f.proxies()
	if len(proxies) != contract.DefaultProxyReplicas {
		t.Errorf("%d proxies, want %d", len(proxies), contract.DefaultProxyReplicas)
	}
	for _, p := range proxies {
		if through.Peers[p.Status.PodIP] == 0 || direct[p.Status.PodIP] > 0 {
			t.Errorf("the app was not called by %s: before %v, after %v", kit.Describe(&p), direct, through.Peers)
		}
	}
	if len(through.Pods) != 2 {
		t.Errorf("the app has 2 pods, answers came from %v", through.Pods)
	}
	// What was established stays where it is; both may have met the same pod.
	tally := kept.Stop()
	for peer := range tally.Peers {
		if direct[peer] == 0 {
			t.Errorf("a kept connection comes from %s now; the app was called from %v before", peer, direct)
		}
	}
	if tally.Failed() > 0 {
		t.Errorf("kept connections: %s", tally)
	}
	if got, want := phases(trail.Since(0)), []string{"", "Pending", "Active"}; !slices.Equal(got, want) {
		t.Errorf("phases: %q, want %q", got, want)
	}
}

// TestSettle takes over a Service that is in use by a connection that TPA cannot see. It gets time to end before the
// target sleeps for the first time.
func TestSettle(t *testing.T) {
	settle := flagOf(t, "settle-time")
	f := setUp(t)
	app := f.app("web", 1)
	f.create(app.Deployment(), app.Service(nil))
	f.ready("web", 1)
	to := address(f.service("web"), 80)
	f.reachable(to)
	conn := f.open(to)
	direct := f.ask(conn)

	deployments, services := f.followDeployment("web"), f.followService("web")
	f.annotate("web", contract.IdleTimeoutKey, "1s")
	f.annotate("web", contract.TargetKey, "web")
	active, err := services.Await(f.ctx, patience, "Active", 0, func(c kit.Change[*corev1.Service]) bool {
		return c.Object.Annotations[contract.PhaseKey] == string(contract.Active)
	})
	f.must(err)
	// The controller counts from its decision on, which is a little before.
	f.must(deployments.Never(f.ctx, time.Until(active.At.Add(settle-time.Second)), "scaled to 0", 0, atZero))
	if reply := f.ask(conn); reply.Client != direct.Client {
		t.Errorf("the app was called from %s, then from %s", direct.Client, reply.Client)
	}
	slept, err := deployments.Await(f.ctx, patience, "replicas at 0", 0, atZero)
	f.must(err)
	if after := slept.At.Sub(active.At); after > settle+late {
		t.Errorf("scaled to 0 %s after Active; --settle-time is %s, and %s more may pass", after, settle, late)
	}
}

// TestCreate creates Deployment and annotated Service together, as a first `kubectl apply` does.
func TestCreate(t *testing.T) {
	f := setUp(t)
	app := f.app("web", 2)
	if _, err := f.kubectl(f.manifest(app.Deployment(), app.Service(managed("web", idle))), "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	s := f.active("web")
	f.reachable(address(s, 80))
	f.asleep("web")
	if reply := f.askOnce(address(s, 80)); reply.Request != 1 {
		t.Errorf("%s counts %d requests, want this one only", reply.Pod, reply.Request)
	}
	f.ready("web", 2)
}

// TestLabelLater opts a namespace in whose Service carries the annotations already.
func TestLabelLater(t *testing.T) {
	f := setUpNamespace(t, false)
	app := f.app("web", 1)
	service := app.Service(managed("web", time.Minute))
	f.create(app.Deployment(), service)
	// Admission answers before the Service exists, so there is nothing to wait for.
	before := kit.Snap(service)
	if len(before.Keys) > 0 || service.Spec.Selector["app"] != "web" {
		t.Fatalf("taken over in a namespace that is not opted in: %s", kit.Describe(service))
	}
	f.ready("web", 1)
	f.reachable(address(service, 80))
	f.labelNamespace(contract.InjectLabel, contract.InjectEnabled)
	s := f.active("web")
	f.proxied(address(s, 80))
}
