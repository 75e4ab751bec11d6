//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// TestTarget is about targets that are replaced, renamed or deleted, or that cannot come up, while connections are held.
func TestTarget(t *testing.T) {
	t.Run("replaced asleep", testReplacedAsleep)
	t.Run("replaced", func(t *testing.T) { testReplacedWhileHeld(t, (*fixture).replaceByForce) })
	t.Run("recreated", func(t *testing.T) { testReplacedWhileHeld(t, (*fixture).deleteAndCreate) })
	t.Run("renamed", testRenamed)
	t.Run("deleted", testDeleted)
	t.Run("image missing", func(t *testing.T) {
		testCannotComeUp(t, `"image":"localhost/none:dev"`, "container web: ImagePullBackOff")
	})
	t.Run("crash loop", func(t *testing.T) { testCannotComeUp(t, `"args":["--no-such-flag"]`, "container web: ") })
}

// replaceByForce replaces the Deployment of an app, as kubectl does for who asks it not to care.
func (f *fixture) replaceByForce(app kit.App) {
	f.Helper()
	_, err := f.kubectl(f.manifest(app.Deployment()), "replace", "--force", "--grace-period=0", "-f", "-")
	f.must(err)
}

// deleteAndCreate has no Deployment of an app for a few seconds.
func (f *fixture) deleteAndCreate(app kit.App) {
	f.Helper()
	_, err := f.kubectl("", "delete", "deployment", app.Name)
	f.must(err)
	f.wait("the last pod of "+app.Name+" to be gone", f.noPod(app.Name))
	f.pass(3 * time.Second)
	f.create(app.Deployment())
}

// testReplacedAsleep: the new one has its idle time-out, and sleeps and wakes to what it has.
func testReplacedAsleep(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	app := f.app("web", 1)
	s := f.start(app, idle)
	f.asleep("web")
	app.Replicas = 2
	replaced := time.Now()
	f.replaceByForce(app)
	f.ready("web", 2)
	f.asleep("web")
	if stayed := time.Since(replaced); stayed < idle {
		t.Errorf("asleep after %s", stayed)
	}
	f.wakesTo(address(s, 80), 2)
}

// asks asks on a connection from a node without waiting for the answer.
func (f *fixture) asks(address string) (*kit.Conn, chan error) {
	f.Helper()
	conn, answered := f.open(address), make(chan error, 1)
	go func() {
		_, err := conn.Ask(patience)
		answered <- err
	}()
	return conn, answered
}

// answered waits for what asks began.
func (f *fixture) answered(result chan error) error {
	f.Helper()
	select {
	case err := <-result:
		return err
	case <-f.ctx.Done():
		return context.Cause(f.ctx)
	}
}

// testReplacedWhileHeld: who waits for the one is served by the other.
func testReplacedWhileHeld(t *testing.T, replace func(*fixture, kit.App)) {
	t.Parallel()
	f := setUp(t)
	slow := f.app("web", 1)
	slow.Args = []string{"--start-delay=30s"}
	s := f.start(slow, idle)
	f.asleep("web")
	trail := f.followDeployment("web")
	conn, answer := f.asks(address(s, 80))
	f.woken(trail, 0)
	start := time.Now()
	replace(f, f.app("web", 1))
	f.must(f.answered(answer))
	if took := time.Since(start); took > 25*time.Second {
		t.Errorf("answered %s after the replacement began", took)
	}
	conn.Close()
	f.asleep("web")
}

// testRenamed: who waits for the one is served by the other, which then knows that it is in use.
func testRenamed(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	slow := f.app("web", 1)
	slow.Args = []string{"--start-delay=60s"}
	s := f.start(slow, idle)
	f.asleep("web")
	trail := f.followDeployment("web")
	conn, answer := f.asks(address(s, 80))
	f.woken(trail, 0)
	_, err := f.kubectl("", "delete", "deployment", "web")
	f.must(err)
	named := f.app("web", 1).Deployment()
	named.Name = "new"
	f.create(named)
	f.annotate("web", contract.TargetKey, "new")
	f.must(f.answered(answer))
	renamed := f.followDeployment("new")
	f.must(renamed.Never(f.ctx, 3*idle, "scaled to 0 under a connection that was made before the rename", 0, atZero))
	f.ask(conn)
	end := time.Now()
	conn.Close()
	f.sleepsInTime(renamed, 0, idle, end)
	f.askOnce(address(s, 80))
	f.wait("one lease, of the new target", func(ctx context.Context) (bool, string) {
		leases, err := f.targetLeases(ctx)
		return err == nil && len(leases) == 1 && strings.HasSuffix(leases[0], "new"), fmt.Sprint(leases, err)
	})
}

// targetLeases are the names of the namespace's targets' Leases.
func (f *fixture) targetLeases(ctx context.Context) (names []string, err error) {
	var leases coordinationv1.LeaseList
	err = cluster.List(ctx, &leases, client.InNamespace(f.ns), client.MatchingLabels{contract.LeaseLabel: contract.LeaseTarget})
	for _, l := range leases.Items {
		names = append(names, l.Name)
	}
	return names, err
}

// goroutines is how many each proxy has.
func (f *fixture) goroutines() (sum float64) {
	f.Helper()
	for _, pod := range f.proxies() {
		text, err := kit.Get(f.ctx, "http://"+pod.Status.PodIP+":9090/metrics")
		f.must(err)
		sum += samples(string(text), "go_goroutines ")["go_goroutines"]
	}
	return sum
}

// testDeleted: who waits for a target that was deleted is let go soon, who comes then at once, people are told once, and when
// there is one again all works by itself.
func testDeleted(t *testing.T) {
	t.Parallel()
	const (
		clients = 20
		soon    = 18 * time.Second // the grace of 10 s, and the time to notice
	)
	f := setUp(t)
	slow := f.app("web", 1)
	slow.Args = []string{"--start-delay=60s"}
	s := f.start(slow, idle)
	f.asleep("web")
	before := f.goroutines()
	trail := f.followDeployment("web")
	var answers []chan error
	for range clients {
		_, answer := f.asks(address(s, 80))
		answers = append(answers, answer)
	}
	f.woken(trail, 0)
	deleted := time.Now()
	_, err := f.kubectl("", "delete", "deployment", "web", "--wait=false")
	f.must(err)
	for _, answer := range answers {
		if err := f.answered(answer); kit.KindOf(err) != kit.Reset {
			t.Errorf("a held connection ended with %v", err)
		}
	}
	if took := time.Since(deleted); took > soon || took < 10*time.Second {
		t.Errorf("held connections ended %s after the target was deleted", took)
	}
	f.refusedFrom(f.far, address(s, 80))
	f.nobodyHeld("web")
	if n := f.ended("web", "refused_missing"); n != clients+1 {
		t.Errorf("%g connections are counted as refused_missing", n)
	}
	f.toldOnce("web", "TargetMissing", "deployment/web does not exist, and connections are refused: create it, or name another in tpa.dev/target")
	f.wait("no goroutine to be left", func(context.Context) (bool, string) {
		now := f.goroutines()
		return now <= before+clients/2, fmt.Sprintf("%g, were %g", now, before)
	})
	if leases, err := f.targetLeases(f.ctx); err != nil || len(leases) != 1 {
		t.Errorf("leases %v, %v", leases, err)
	}

	f.create(f.app("web", 1).Deployment())
	f.ready("web", 1)
	f.askOnce(address(s, 80))
	f.asleep("web")
	f.askOnce(address(s, 80))
}

// testCannotComeUp: who waits for a target that cannot come up is let go at wake-timeout, people are told why, and the target
// sleeps again, whoever has scaled it up.
func testCannotComeUp(t *testing.T, fault, why string) {
	t.Parallel()
	const patient = 12 * time.Second
	f := setUp(t)
	app := f.app("web", 1)
	s := f.startWith(app.Deployment(), app.Service(with(managed("web", idle), contract.WakeTimeoutKey, patient.String())))
	f.asleep("web")
	patch := func(container string) {
		f.must(cluster.Patch(f.ctx, f.deployment("web"), client.RawPatch(types.StrategicMergePatchType,
			fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"web",%s}]}}}}`, container))))
	}
	patch(fault)
	trail := f.followDeployment("web")
	start := time.Now()
	_, answer := f.asks(address(s, 80))
	if err, took := f.answered(answer), time.Since(start); kit.KindOf(err) != kit.Reset || took < patient || took > patient+overdue {
		t.Errorf("the held connection ended after %s with %v", took, err)
	}
	end := start.Add(patient) // at the earliest: the client learns of it a moment later
	f.sleepsInTime(trail, f.woken(trail, 0)-1, idle, end)
	f.nobodyHeld("web")
	if n := f.ended("web", "wake_timeout"); n != 1 {
		t.Errorf("%g connections are counted as wake_timeout", n)
	}
	if times := f.told("web", "WakeTimeout", "no pod of deployment/web was ready within 12s: "+why); times > 2 { // a pod goes through more than one state
		t.Errorf("said %d times", times)
	}

	f.asleep("web")
	from := trail.Len()
	f.scale("web", 2)
	from = f.woken(trail, from)
	up := trail.Since(from - 1)[0].At
	change, err := trail.Await(f.ctx, patience, "replicas at 0 again", from-1, atZero)
	f.must(err)
	if stayed := change.At.Sub(up); stayed < 2*idle || stayed > 2*(idle+late) { // they might have come up in the first
		t.Errorf("pods that cannot come up were left for %s", stayed)
	}

	patch(`"image":"` + kit.AppImage + `","args":["--addr=:8080"]`)
	f.wakesTo(address(s, 80), 2)
}
