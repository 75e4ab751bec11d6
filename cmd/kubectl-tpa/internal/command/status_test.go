//go:build integration

package command

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// TestStatus: what the Leases, scales and pods say is what is shown, in each form.
func TestStatus(t *testing.T) {
	s := openShop(t)
	if got := s.run(t.Context(), "", &buffer{}, "status"); got.code != 0 || got.err != "No Services with TPA found in "+s.ns+" namespace.\n" {
		t.Errorf("an empty namespace: %+v", got)
	}
	s.app("web", 2)
	s.app("db", 0)
	s.pod("web-0", map[string]string{"app": "web"})
	s.pod("tpa-proxy-a", contract.ProxySelector())
	now := time.Now()
	s.state("web", sleep.State{Phase: sleep.Awake, Since: now.Add(-time.Hour), Claims: map[string]sleep.Claim{"tpa-proxy-a": {}}},
		&contract.History{Sleeps: 3, Wakes: 2, LastWake: &contract.Wake{At: now.Add(-time.Hour), Service: "web", Outcome: contract.WakeReady, Took: 1.5}})
	s.state("db", sleep.State{Phase: sleep.Asleep, Since: now.Add(-3 * time.Hour), Replicas: 3, Used: now.Add(-4 * time.Hour)}, nil)
	s.lease(contract.PodLease("tpa-proxy-a"), contract.LeaseProxy, map[string]string{contract.UsageKey: contract.Usage{
		At: now, Services: map[string]contract.ServiceUsage{"web": {Open: 4, Held: 1, Oldest: []contract.ConnectionUsage{{
			From: "192.0.2.9:4711", Port: 80, Since: now.Add(-10 * time.Minute),
		}}}},
	}.String()})

	s.contains(s.does("status"),
		"SERVICE TARGET STATE READY CONNECTIONS IDLE FOR SLEEPS IN WAKES LAST WAKE",
		"db deployment/db Asleep 0/0 0 4h - - -",
		"web deployment/web Awake 1/2 4 (+1 held) - - 2 60m ago, ready in 1.5s")
	s.contains(s.does("status", "web", "-o", "wide"), "SLEEPS ASLEEP FOR OBSERVED IDLE-TIMEOUT PROXIES REASON", "ready in 1.5s 3 0s - 10m 0/0 there is no Deployment tpa-proxy")
	s.contains(s.does("status", "-A"), "NAMESPACE SERVICE", s.ns+" db deployment/db Asleep")
	if got := s.does("status", "-o", "name"); got != "service/db\nservice/web\n" {
		t.Errorf("-o name: %q", got)
	}
	if got := s.does("status", "-l", "app=db", "--no-headers"); strings.Contains(got, "web") || strings.Contains(got, "SERVICE") {
		t.Errorf("with a selector: %s", got)
	}
	if got := s.does("status", "db", "-o", "jsonpath={.status.state}"); got != "Asleep" {
		t.Errorf("jsonpath: %q", got)
	}
	var list struct {
		Kind  string
		Items []struct {
			Status struct{ Connections map[string]int }
		}
	}
	s.must(json.Unmarshal([]byte(s.does("status", "-o", "json")), &list))
	if list.Kind != "List" || len(list.Items) != 2 || list.Items[1].Status.Connections["open"] != 4 {
		t.Errorf("-o json: %+v", list)
	}
	s.contains(s.does("explain", "web"), "Why it is awake:", "Through proxy tpa-proxy-a: 4 connections open, 1 held until a pod is ready.",
		"from 192.0.2.9:4711 to port 80 since")
	s.contains(s.does("explain", "db"), "Why it is asleep:", "the next connection wakes it to 3",
		"there is no Deployment tpa-proxy") // nobody plays the controller
}

// TestErrors: what goes wrong is said as kubectl says it, and the exit code is not 0.
func TestErrors(t *testing.T) {
	s := openShop(t)
	notFound := `Error from server (NotFound): services "none" not found`
	s.fails("", notFound, "status", "none")
	s.fails("", notFound, "explain", "none")
	s.fails("", notFound, "wake", "none")
	s.fails("", "error: unknown flag: --nonsense\nSee 'kubectl tpa status --help' for usage", "status", "--nonsense")
	s.fails("", `error: unknown command "nonsense" for "kubectl tpa"`, "nonsense")
	s.fails("", "error: accepts 1 arg(s), received 0", "explain")
	s.fails("", `error: unable to match a printer suitable for the output format "xml"`, "status", "-o", "xml")
	s.fails("", "error: a Service cannot be named together with --all-namespaces", "status", "web", "-A")
	s.fails("nobody", `Error from server (Forbidden): services is forbidden: User "nobody" cannot list resource "services"`, "status")
	s.fails("", "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?", "status", "--server=https://127.0.0.1:1")
}

// TestFewRights: who may read Services alone sees what that tells.
func TestFewRights(t *testing.T) {
	s := openShop(t)
	s.app("web", 1)
	s.state("web", sleep.State{Phase: sleep.Awake, Since: time.Now()}, nil)
	user := s.user(rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"list"}})
	got := s.run(t.Context(), user, &buffer{}, "status", "-o", "wide")
	s.contains(got.out, "web deployment/web Unknown <unknown> <unknown> <unknown> - - - - - - 10m <unknown> -")
	got = s.run(t.Context(), user, &buffer{}, "explain", "web")
	s.contains(got.out, "Not shown, because you may not read it: deployments.apps, deployments.apps/scale web, "+
		"events.events.k8s.io, leases.coordination.k8s.io, namespaces, pods")
	s.fails(user, "cannot get resource \"leases\"", "wake", "web")
}

// TestWatch: each change is a line, and nothing else is.
func TestWatch(t *testing.T) {
	s := openShop(t)
	s.app("web", 1)
	state := sleep.State{Phase: sleep.Awake, Since: time.Now().Add(-time.Minute)}
	s.state("web", state, nil)
	ctx, stop := context.WithCancel(t.Context())
	out, done := &buffer{}, make(chan result, 1)
	go func() { done <- s.run(ctx, "", out, "status", "-w") }()
	lines := func() []string { return strings.Split(strings.TrimSpace(out.String()), "\n") }
	s.eventually("the first look", func() bool { return len(lines()) == 2 })
	s.pod("web-0", map[string]string{"app": "web"})
	s.eventually("a pod is ready", func() bool { return strings.Contains(lines()[len(lines())-1], "1/1") })
	state.Phase, state.By = sleep.Sleeping, "tpa-proxy-a/1"
	s.state("web", state, nil)
	s.eventually("it is put to sleep", func() bool { return strings.Contains(lines()[len(lines())-1], "Sleeping") })
	seen := len(lines())
	s.lease("tpa-other", contract.LeaseTarget, map[string]string{"changes": "nothing"})
	state.Phase = sleep.Awake
	s.state("web", state, nil)
	s.eventually("it is awake again", func() bool { return len(lines()) > seen })
	stop()
	if got := <-done; got.code != 0 {
		t.Errorf("%+v", got)
	}
	if got := lines(); len(got) != seen+1 || strings.Count(out.String(), "SERVICE") != 1 {
		t.Errorf("more than each change:\n%s", out)
	}
}

// TestCompletion: a shell completes Services and namespaces.
func TestCompletion(t *testing.T) {
	s := openShop(t)
	s.app("web", 1)
	s.app("db", 1)
	kubeconfig, err := server.Kubeconfig("")
	s.must(err)
	complete := func(args ...string) string {
		args = append([]string{"__complete", "--kubeconfig=" + kubeconfig, "-n", s.ns}, args...)
		var out, errs buffer
		a := result{code: Run(t.Context(), args, streams(&out, &errs), "v0.1.0")}
		if a.code != 0 {
			t.Errorf("%v: %s", args, errs.String())
		}
		return out.String()
	}
	if got := complete("wake", ""); !strings.HasPrefix(got, "db\nweb\n") {
		t.Errorf("wake: %q", got)
	}
	if got := complete("wake", "db", ""); !strings.HasPrefix(got, "web\n") {
		t.Errorf("wake db: %q", got)
	}
	if got := complete("explain", "db", ""); strings.Contains(got, "web") {
		t.Errorf("explain db: %q", got)
	}
	if got := complete("status", "--namespace", "tpa-"); !strings.Contains(got, "tpa-system\n") {
		t.Errorf("namespaces: %q", got)
	}
	s.contains(s.does("completion", "bash"), "__start_kubectl-tpa kubectl-tpa")
	s.contains(s.does("version"), "kubectl tpa: v0.1.0", "Kubernetes: v1.")
	s.contains(s.does("version", "--client"), "kubectl tpa: v0.1.0")
}
