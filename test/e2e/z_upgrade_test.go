//go:build e2e

package e2e

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/test/soak/call"
)

// TestUpgrade installs the previous version of TPA with Helm, upgrades to this one, rolls back, upgrades again and
// uninstalls, while clients call a Service that is always in use and such that sleep and wake all the time. Nothing is lost,
// each version goes on with what the other one has put to sleep, and at the end all is as if TPA had never been there. It is
// in the last file, as a cluster has one TPA.
func TestUpgrade(t *testing.T) {
	previous, present := versions(t)
	t.Cleanup(func() { // the TPA that the suite runs on
		for _, path := range []string{"manifests/undeploy.sh", "manifests/deploy.sh"} {
			if out, err := script(context.Background(), path, localOverlay); err != nil {
				t.Errorf("%s: %v\n%s", path, err, out.Stdout)
			}
		}
	})
	u := &upgrade{
		fixture: setUp(t), was: map[string]kit.Snapshot{},
		services: map[string]*kit.Trail[*corev1.Service]{}, targets: map[string]*kit.Trail[*appsv1.Deployment]{},
	}
	_, err := script(u.ctx, "manifests/undeploy.sh", localOverlay)
	u.must(err)
	u.create(kit.Namespace(kit.SystemNamespace, false)) // which enforces the restricted pod security standard

	_, err = u.helm(previous.values(), "install", "tpa", previous.chart, "--wait", "--values=-")
	u.must(err)
	u.admits(previous)
	u.start()
	u.serves(previous)
	u.works()
	u.change("upgrade", present, present.values(), "upgrade", "tpa", present.chart, "--values=-")
	u.change("rollback", previous, "", "rollback", "tpa")
	u.change("second upgrade", present, present.values(), "upgrade", "tpa", present.chart, "--values=-")
	writes := u.writers.Stop()
	t.Logf("meanwhile: %s", writes)
	if writes.Refused+writes.Other > 0 {
		t.Errorf("writes failed: %s", writes)
	}
	u.uninstall(present)
	u.stop()

	u.wait("nothing of TPA's to be left in the namespace", u.noTrace)
	want := []string{
		"configmap/kube-root-ca.crt",
		"lease.coordination.k8s.io/tpa-controller", // by which the replicas agreed on who leads
		"namespace/" + kit.SystemNamespace,
		"secret/tpa-ca", "secret/tpa-webhook-tls", // which cert-manager does not delete
		"serviceaccount/default",
	}
	u.wait("nothing else of TPA's to be left", func(ctx context.Context) (bool, string) {
		left, err := u.ofTPA(ctx)
		if err != nil {
			return false, err.Error()
		}
		diff := cmp.Diff(want, left)
		return diff == "", "(-may be left +is left) " + diff
	})
}

// upgrade is a namespace that lives through changes of TPA's version. Of its Services web is always in use; greeter, whose
// server speaks first, and postgres sleep and wake all the time; sleeper is called after each change, and slow, which takes a
// while to start, at the end.
type upgrade struct {
	*fixture
	was      map[string]kit.Snapshot // each Service
	services map[string]*kit.Trail[*corev1.Service]
	targets  map[string]*kit.Trail[*appsv1.Deployment]

	fire    *fire          // on web
	talks   []*talks       // with greeter and postgres
	callers []*kit.Running // of sleeper, while TPA goes
	writers *writers       // of yet other Services
}

// start creates the Services, annotated, and begins to call them.
func (u *upgrade) start() {
	u.Helper()
	web, edited, postgres := u.app("web", 2), u.app("edited", 1), kit.Postgres(u.ns)
	sleeper, slow, greeter := u.app("sleeper", 2), u.app("slow", 1), u.app("greeter", 1)
	sleeper.Args, greeter.Args = []string{"--stop-delay=0s"}, []string{"--stop-delay=0s"}
	slow.Args = []string{"--start-delay=12s", "--stop-delay=0s"}
	greets := greeter.Service(managed("greeter", time.Second))
	greets.Spec.Ports[0].TargetPort = intstr.FromString("greeting")
	for _, one := range []struct {
		app     kit.App
		service *corev1.Service
	}{
		{web, web.Service(managed("web", time.Hour))},
		{sleeper, sleeper.Service(managed("sleeper", idle))},
		{slow, slow.Service(managed("slow", time.Second))},
		{greeter, greets},
		{postgres, postgres.Service(managed("postgres", 2*time.Second))},
	} {
		name := one.app.Name
		u.startWith(one.app.Deployment(), one.service)
		u.was[name] = kit.Snap(one.service)
		u.services[name], u.targets[name] = u.followService(name), u.followDeployment(name)
	}
	u.startWith(edited.Deployment(), edited.Service(managed("edited", time.Hour)))
	u.ready("web", 2)
	u.writers = u.write(edited, 1)
	u.fire = u.fixture.fire(address(u.service("web"), 80))
	u.talks = []*talks{
		u.talk("greeter", address(u.service("greeter"), 80), call.Greeting, 3*time.Second),
		u.talk("postgres", address(u.service("postgres"), 80), call.Postgres, 4*time.Second),
	}
}

// change has Helm bring another version. It finds what the one before it has written: of targets that sleep, of claims, and
// of a connection that lives on until after the next change.
func (u *upgrade) change(what string, to version, values string, args ...string) {
	u.Helper()
	u.asleep("sleeper")
	u.asleep("slow")
	u.fire.hold("before the " + what)
	start := time.Now()
	_, err := u.helm(values, args...)
	u.must(err)
	u.admits(to)
	u.serves(to)
	u.Logf("%s: all webhooks and proxies are %s's after %.0fs", what, to.tag, time.Since(start).Seconds())
	u.works()
	u.fire.next()
}

// works checks that all is managed, and that targets sleep and wake.
func (u *upgrade) works() {
	u.Helper()
	u.fire.proxied()
	for name := range u.was {
		u.active(name)
	}
	from := map[string]int{"greeter": u.targets["greeter"].Len(), "postgres": u.targets["postgres"].Len()}
	u.asleep("sleeper")
	conn := u.open(address(u.service("sleeper"), 80))
	defer conn.Close()
	u.ask(conn)
	u.ready("sleeper", 2)
	for name, from := range from {
		_, err := u.targets[name].Await(u.ctx, patience, name+" at 0 replicas", from, atZero)
		u.must(err)
		u.woken(u.targets[name], u.targets[name].Len())
	}
	u.wait("writes to be carried out", u.writers.succeed(50))
}

// uninstall removes the release while some clients are connected, one is held, and others come. Every Service is its user's
// again before anything of TPA goes.
func (u *upgrade) uninstall(v version) {
	u.Helper()
	u.asleep("sleeper")
	u.asleep("slow")
	var account corev1.ServiceAccount
	u.must(cluster.Get(u.ctx, client.ObjectKey{Namespace: kit.SystemNamespace, Name: "tpa-webhook"}, &account))
	system := client.InNamespace(kit.SystemNamespace)
	jobs, err := kit.Follow[*batchv1.Job](u.ctx, cluster, &batchv1.JobList{}, system)
	u.must(err)
	webhooks, err := kit.Follow[*appsv1.Deployment](u.ctx, cluster, &appsv1.DeploymentList{}, system)
	u.must(err)
	configurations, err := kit.Follow[*admissionv1.MutatingWebhookConfiguration](u.ctx, cluster,
		&admissionv1.MutatingWebhookConfigurationList{}, client.MatchingFields{"metadata.name": "tpa"})
	u.must(err)
	trails := []restoreTrail{u.followRestore("sleeper"), u.followRestore("slow")}
	u.fire.hold("before the end")
	held, answer := u.asks(address(u.service("slow"), 80))

	var uninstall sync.WaitGroup
	var failed error
	start := time.Now()
	uninstall.Go(func() { _, failed = u.helm("", "uninstall", "tpa", "--timeout=4m") })
	defer uninstall.Wait() // should a check end the test
	u.callers = u.clients(address(u.service("sleeper"), 80), 2)
	_, err = u.services["slow"].Await(u.ctx, patience, "slow to be Restoring", 0, inPhase(contract.Restoring))
	u.must(err)
	select {
	case err := <-answer:
		u.Fatalf("a connection was to be held while its Service is Restoring, and has ended before: %v", err)
	default:
	}
	for name, was := range u.was {
		u.restored(name, was)
	}
	u.Logf("uninstall: every Service is its user's again after %.0fs", time.Since(start).Seconds())
	u.must(u.answered(answer))
	held.Close()
	for _, trail := range trails {
		trail.check()
	}
	uninstall.Wait()
	u.must(failed)
	u.Logf("uninstall: done after %.0fs", time.Since(start).Seconds())

	job, err := jobs.Await(u.ctx, patience, "the hook to succeed", 0, func(c kit.Change[*batchv1.Job]) bool {
		return c.Object.Name == "tpa-uninstall" && c.Object.Status.Succeeded == 1
	})
	u.must(err)
	if image := job.Object.Spec.Template.Spec.Containers[0].Image; image != v.image("webhook") {
		u.Errorf("the hook ran %s", image)
	}
	configuration, err := configurations.Await(u.ctx, patience, "the webhook configuration to be gone", 0, deleted)
	u.must(err)
	webhook, err := webhooks.Await(u.ctx, patience, "the webhooks to be gone", 0, deleted)
	u.must(err)
	if !u.before(configuration.Object, webhook.Object) {
		u.Errorf("the webhooks went before their configuration: %s, %s", webhook, configuration)
	}
	for name, trail := range u.services {
		back, err := trail.Await(u.ctx, patience, name+" to be its user's again", 0, inPhase(""))
		u.must(err)
		if !u.before(back.Object, configuration.Object) {
			u.Errorf("TPA went before %s was its user's again: %s, %s", name, configuration, back)
		}
		want := []string{string(contract.Active), string(contract.Restoring), ""}
		if got := phases(trail.Since(0)); !slices.Equal(got, want) {
			u.Errorf("phases of %s: %q, want %q", name, got, want)
		}
	}
	if got := scalings(u.targets["web"].Since(0)); !slices.Equal(got, []int32{2}) {
		u.Errorf("web, which was in use all the time, had %d replicas", got)
	}
	var ns corev1.Namespace
	u.must(cluster.Get(u.ctx, client.ObjectKey{Name: kit.SystemNamespace}, &ns))
	if got := ns.Labels[contract.UninstallLabel]; got != string(account.UID) {
		u.Errorf("namespace %s says that %q was uninstalled, want %q", kit.SystemNamespace, got, account.UID)
	}
}

func deleted[T client.Object](c kit.Change[T]) bool { return c.Deleted }

// stop ends all clients once they were answered without TPA, and checks that none of them has lost anything.
func (u *upgrade) stop() {
	u.Helper()
	u.fire.direct()
	tally := u.fire.stop()
	ended := func(name string, client interface {
		Tally() kit.Tally
		Stop() kit.Tally
	}) {
		u.wait("answers of "+name+" without TPA", answers(client, 1))
		its := client.Stop()
		if its.Failed() > 0 {
			u.Errorf("clients of %s: %s", name, its)
		}
		tally = tally.Plus(its)
	}
	for _, talks := range u.talks {
		ended(talks.name, talks)
	}
	for _, callers := range u.callers {
		ended("sleeper", callers)
	}
	u.Logf("%d connections, %d good answers and conversations, %d failed", tally.Connections, tally.Count[kit.OK], tally.Failed())
}
