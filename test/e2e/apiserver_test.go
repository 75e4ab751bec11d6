//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/test/kit"
)

const (
	// outage is how long the API server is down.
	outage = 20 * time.Second
	// dozy is an idle time-out that passes during the outage, and whose half, when proxies give their claims up, does not.
	dozy = outage
)

// controlPlane is what goes with the API server, as when its machine does. (On their own, its controllers take up to a
// minute to notice that it is back.)
var controlPlane = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"}

// TestNoAPIServer takes the API server away for a while. Awake Services are served all the while, those included whose
// use no proxy can record; nothing sleeps; a connection to one that sleeps is held and answered in the end. Then
// everything goes on by itself, and no proxy was restarted for it.
func TestNoAPIServer(t *testing.T) {
	f := setUp(t)
	busy := f.start(f.app("web", 2), time.Hour)
	asleep := f.start(f.app("sleeper", 1), idle)
	f.ready("web", 2)
	f.proxied(address(busy, 80))
	f.asleep("sleeper")
	quiet := f.start(f.app("quiet", 1), dozy)
	f.proxied(address(quiet, 80))
	used := time.Now()
	trail := f.followDeployment("quiet")
	f.wait("every claim of quiet to be given up", func(ctx context.Context) (bool, string) {
		state, err := cluster.SleepState(ctx, f.ns, "quiet")
		for _, claim := range state.Claims {
			if claim.Active() {
				return false, state.String()
			}
		}
		return err == nil && state.Phase == sleep.Awake, fmt.Sprintf("%s, %v", state, err)
	})
	proxies := f.proxies()
	loads := f.clients(address(busy, 80), 4)
	f.wait("clients to be answered", answers(loads[0], 50))

	t.Cleanup(func() { f.component(context.Background(), "start", controlPlane...) })
	f.component(f.ctx, "stop", controlPlane...)
	down := time.Now()
	held := f.open(address(asleep, 80))
	waited := make(chan error, 1)
	go func() {
		_, err := held.Ask(patience)
		waited <- err
	}()
	f.pass(time.Until(used.Add(dozy + time.Second))) // from here on quiet would sleep
	asked := time.Now()
	kept := f.open(address(quiet, 80))
	first := f.ask(kept)
	t.Logf("a connection that no proxy could record was answered after %.2fs", time.Since(asked).Seconds())
	for _, load := range loads {
		f.wait("clients to be answered without the API server", answers(load, 100))
	}
	f.pass(time.Until(down.Add(outage)))
	select {
	case err := <-waited:
		t.Errorf("sleeper was woken without the API server? %v", err)
	default:
	}
	f.component(f.ctx, "start", controlPlane...)
	back := time.Now()
	t.Logf("the API server was down for %.1fs", back.Sub(down).Seconds())

	f.must(<-waited)
	held.Close()
	t.Logf("the connection that was held is answered %.1fs after its end", time.Since(back).Seconds())
	f.must(trail.Never(f.ctx, sleep.Grace+5*time.Second-time.Since(back), "quiet scaled to 0 in use", 0, atZero))
	if was, is := trail.Since(0)[0].Object.Generation, f.deployment("quiet").Generation; is != was {
		t.Errorf("quiet went from generation %d to %d: somebody has scaled it", was, is)
	}
	if again := f.ask(kept); again.Client != first.Client {
		t.Errorf("the connection led to %+v, then to %+v", first, again)
	}
	kept.Close()

	// Everything is as before: sleep, wake, opt-in, the leader, and the components of the cluster itself.
	f.asleep("sleeper")
	f.askOnce(address(asleep, 80))
	f.wait("the leader to renew its lease", leads(back))
	late := f.app("web", 1).Service(managed("web", time.Hour))
	late.Name = "late"
	f.create(late)
	f.active("late")
	t.Logf("all as before %.1fs after the outage", time.Since(back).Seconds())
	f.wait("TPA to be ready", ready)
	f.component(f.ctx, "status")
	var pods corev1.PodList
	f.must(cluster.List(f.ctx, &pods, client.InNamespace(f.ns)))
	for _, pod := range pods.Items {
		if kit.Restarts(&pod) > 0 {
			t.Errorf("restarted: %s", kit.Describe(&pod))
		}
	}
	for _, was := range proxies {
		if !slices.ContainsFunc(f.proxies(), func(is corev1.Pod) bool { return is.UID == was.UID }) {
			t.Errorf("proxy %s was replaced", was.Name)
		}
	}
	f.must(cluster.List(f.ctx, &pods, client.InNamespace(kit.SystemNamespace)))
	for _, pod := range pods.Items {
		t.Logf("after the outage: %s", kit.Describe(&pod))
	}
	for _, load := range loads {
		if tally := load.Stop(); tally.Failed() > 0 {
			t.Errorf("clients: %s", tally)
		} else {
			t.Logf("clients: %s", tally)
		}
	}
}

// pass lets time pass, because that is what is tested.
func (f *fixture) pass(d time.Duration) {
	f.Helper()
	select {
	case <-time.After(d):
	case <-f.ctx.Done():
		f.Fatal(context.Cause(f.ctx))
	}
}

// component has the cluster's harness stop or start components of the cluster, or tell whether all run.
func (f *fixture) component(ctx context.Context, command string, components ...string) {
	f.Helper()
	if _, err := cluster.Harness(ctx, append([]string{command}, components...)...); err != nil {
		f.Error(err)
	}
}

// leads looks whether somebody has held the controller's Lease since a time.
func leads(since time.Time) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		var lease coordinationv1.Lease
		err := cluster.Get(ctx, client.ObjectKey{Namespace: kit.SystemNamespace, Name: "tpa-controller"}, &lease)
		if err != nil || lease.Spec.HolderIdentity == nil || lease.Spec.RenewTime == nil {
			return false, fmt.Sprint(err)
		}
		return *lease.Spec.HolderIdentity != "" && lease.Spec.RenewTime.After(since),
			fmt.Sprintf("%s renewed it at %s", *lease.Spec.HolderIdentity, lease.Spec.RenewTime)
	}
}
