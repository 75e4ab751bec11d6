//go:build e2e

package e2e

import (
	"testing"
	"time"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// TestIdle lets a Service go unused: no sooner than its idle time-out, and not 5 s later, there is neither a replica nor
// a pod.
func TestIdle(t *testing.T) {
	const idle = 6 * time.Second
	f := setUp(t)
	app := f.app("web", 2)
	app.Args = []string{"--stop-delay=0s"} // the app's own time to stop is none of TPA's
	s := f.start(app, idle)
	f.proxied(address(s, 80))
	trail := f.followDeployment("web")

	from := trail.Len()
	conn := f.open(address(s, 80))
	f.ask(conn)
	end := time.Now()
	conn.Close()
	f.sleepsInTime(trail, from, idle, end)
	f.must(kit.Wait(f.ctx, time.Until(end.Add(idle+late)), "the last pod to be gone in time", f.noPod("web")))
	f.Logf("no pod left %.2fs after the last use", time.Since(end).Seconds())
	f.asleep("web")
}

// TestOpenConnection keeps a connection open, without a byte on it, for much longer than the idle time-out.
func TestOpenConnection(t *testing.T) {
	f := setUp(t)
	s := f.start(f.app("web", 1), idle)
	f.proxied(address(s, 80))
	trail := f.followDeployment("web")

	from := trail.Len()
	conn := f.open(address(s, 80))
	reply := f.ask(conn)
	f.must(trail.Never(f.ctx, 3*idle, "scaled to 0 under an open connection", from, atZero))
	if again := f.ask(conn); again.Pod != reply.Pod || again.Client != reply.Client {
		t.Errorf("the connection led to %+v, then to %+v", reply, again)
	}
	end := time.Now()
	conn.Close()
	f.sleepsInTime(trail, from, idle, end)
}

// TestSharedTarget puts two Services in front of one Deployment. It sleeps when both are idle, and each wakes it.
func TestSharedTarget(t *testing.T) {
	f := setUp(t)
	app := f.app("web", 1)
	first, second := app.Service(managed("web", idle)), app.Service(managed("web", idle))
	first.Name, second.Name = "first", "second"
	f.create(app.Deployment(), first, second)
	for _, name := range []string{"first", "second"} {
		f.reachable(address(f.active(name), 80))
	}
	f.asleep("web")
	trail := f.followDeployment("web")
	for _, name := range []string{"first", "second"} {
		from := trail.Len()
		conn := f.open(address(f.service(name), 80))
		f.ask(conn)
		from = f.woken(trail, from)
		f.must(trail.Never(f.ctx, 2*idle, "scaled to 0 while "+name+" is in use", from, atZero))
		f.ask(conn)
		end := time.Now()
		conn.Close()
		f.sleepsInTime(trail, from, idle, end)
		f.asleep("web")
	}
}

// TestNamespaceDefault takes the idle time-out from the namespace.
func TestNamespaceDefault(t *testing.T) {
	f := setUp(t)
	f.must(cluster.Patch(f.ctx, kit.Namespace(f.ns, true), merge("annotations", contract.IdleTimeoutKey, idle.String())))
	app := f.app("web", 1)
	f.create(app.Deployment(), app.Service(map[string]string{contract.TargetKey: "deployment/web"}))
	f.active("web")
	f.asleep("web") // the default would be 10 minutes
}
