//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// TestNoWebhook takes the webhook away. Services that are not managed are none of its business: the API server does not
// even try to ask. Managed ones go on serving, sleeping and waking; only their edits are refused, until it is back.
func TestNoWebhook(t *testing.T) {
	f, elsewhere, later := setUp(t), setUpNamespace(t, false), setUpNamespace(t, false)
	awake := f.start(f.app("web", 1), time.Hour)
	sleeper := f.start(f.app("sleeper", 1), idle)
	annotated := later.app("web", 1)
	later.create(annotated.Deployment(), annotated.Service(managed("web", time.Hour)))
	f.ready("web", 1)
	f.proxied(address(awake, 80))
	loads := f.clients(address(awake, 80), 4)
	t.Cleanup(func() {
		if err := scaleWebhook(context.Background(), 2); err != nil {
			t.Error(err)
		}
	})
	f.must(scaleWebhook(f.ctx, 0))

	before := f.asked()
	for _, f := range []*fixture{f, elsewhere} {
		f.editUnmanaged()
	}
	if diff := cmp.Diff(before, f.asked()); diff != "" {
		t.Errorf("the API server asked about Services that are not managed (-before +after):\n%s", diff)
	}

	for _, refusal := range []struct{ webhook, what string }{
		{"managed.tpa.dev", "annotate service web --overwrite " + contract.IdleTimeoutKey + "=2h"},
		{"managed.tpa.dev", `patch service web -p {"spec":{"selector":{"app":"other"}}}`},
		{"managed.tpa.dev", "annotate service web " + contract.TargetKey + "-"},
		{"optin.tpa.dev", "annotate service plain " + contract.TargetKey + "=web"},
	} {
		f.refused(refusal.webhook, strings.Fields(refusal.what)...)
	}
	if maps.Equal(before, f.asked()) {
		t.Error("refusals do not show in the API server's metrics: they could not have shown calls either")
	}
	if now := f.service("web"); kit.Describe(now) != kit.Describe(awake) {
		t.Errorf("refused edits have changed the Service:\n%s\n%s", kit.Describe(awake), kit.Describe(now))
	}

	for range 2 {
		f.asleep("sleeper")
		f.askOnce(address(sleeper, 80))
	}
	for _, load := range loads {
		f.wait("clients to be answered without the webhook", answers(load, 100))
	}
	later.labelNamespace(contract.InjectLabel, contract.InjectEnabled) // asks for something that only TPA can do

	f.must(scaleWebhook(f.ctx, 2))
	f.annotate("web", contract.IdleTimeoutKey, "2h")
	f.annotate("plain", contract.TargetKey, "web")
	f.active("plain")
	later.active("web")
	for _, load := range loads {
		if tally := load.Stop(); tally.Failed() > 0 {
			t.Errorf("clients: %s", tally)
		}
	}
}

// editUnmanaged creates, changes and deletes Services that TPA has nothing to do with, and leaves one, plain.
func (f *fixture) editUnmanaged() {
	f.Helper()
	app := f.app("plain", 1)
	for _, args := range [][]string{
		{"apply", "-f", "-"},
		{"apply", "--server-side", "--force-conflicts", "-f", "-"},
		{"label", "service", "plain", "team=a"},
		{"annotate", "service", "plain", "example.com/owner=b"},
		{"patch", "service", "plain", "-p", `{"spec":{"selector":{"tier":"front"}}}`},
		{"delete", "service", "plain"},
		{"create", "-f", "-"},
	} {
		_, err := f.kubectl(f.manifest(app.Service(nil)), args...)
		f.must(err)
	}
}

// asked is what the API server itself counts of its calls to TPA's webhooks, by series.
func (f *fixture) asked() map[string]float64 {
	f.Helper()
	out, err := f.kubectl("", "get", "--raw", "/metrics")
	f.must(err)
	calls := samples(out.Stdout, "apiserver_admission_webhook_")
	maps.DeleteFunc(calls, func(series string, _ float64) bool { return !strings.Contains(series, ".tpa.dev\"") })
	return calls
}

// refused runs kubectl, which must say who refuses and that it is not there.
func (f *fixture) refused(webhook string, args ...string) {
	f.Helper()
	start := time.Now()
	out, err := f.kubectl("", args...)
	if err == nil {
		f.Errorf("kubectl %s succeeded without the webhook: %s", strings.Join(args, " "), out.Stdout)
		return
	}
	f.Logf("after %.1fs: %s", time.Since(start).Seconds(), strings.TrimSpace(out.Stderr))
	for _, text := range []string{
		fmt.Sprintf("failed calling webhook %q", webhook), "tpa-webhook.tpa-system.svc", "connection refused",
	} {
		if !strings.Contains(out.Stderr, text) {
			f.Errorf("kubectl %s does not say %q: %s", strings.Join(args, " "), text, out.Stderr)
		}
	}
}

// TestWebhooksCrash crashes both replicas while they are being asked. What was under way is refused whole or done whole,
// and it goes on by itself.
func TestWebhooksCrash(t *testing.T) {
	f := setUp(t)
	app := f.app("web", 1)
	s := f.start(app, time.Hour)
	f.proxied(address(s, 80))
	loads := f.clients(address(s, 80), 2)
	writers := f.write(app, 8)
	f.wait("writes to be carried out", writers.succeed(100))
	var pods corev1.PodList
	f.must(cluster.List(f.ctx, &pods, client.InNamespace(kit.SystemNamespace), kit.WebhookLabels))
	for i := range pods.Items {
		f.must(kit.Crash(&pods.Items[i]))
	}
	f.wait("a write to be refused", func(context.Context) (bool, string) {
		tally := writers.Tally()
		return tally.Refused > 0, tally.String()
	})
	for i := range pods.Items {
		f.wait(pods.Items[i].Name+" to be back", restarted(&pods.Items[i]))
	}
	f.wait("TPA to be ready again", ready)
	f.wait("writes to be carried out again", writers.succeed(100)) // once kube-proxy knows
	refused := writers.Tally().Refused
	f.wait("writes to be carried out", writers.succeed(200))
	tally := writers.Stop()
	t.Logf("both replicas crashed: %s", tally)
	if tally.Other > 0 || tally.Refused > refused {
		t.Errorf("%d writes failed for another reason than the crash, %d were refused after it: %s", tally.Other,
			tally.Refused-refused, tally)
	}
	// A Service that asks now needs the controller, too.
	late := app.Service(managed("web", time.Hour))
	late.Name = "late"
	f.create(late)
	f.active("late")
	for _, load := range loads {
		if tally := load.Stop(); tally.Failed() > 0 {
			t.Errorf("clients: %s", tally)
		}
	}
}

// restarted looks whether a pod's process is another one than it was, and ready.
func restarted(was *corev1.Pod) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		var is corev1.Pod
		if err := cluster.Get(ctx, client.ObjectKeyFromObject(was), &is); err != nil {
			return false, err.Error()
		}
		return kit.Ready(&is) && kit.Restarts(&is) > kit.Restarts(was), kit.Describe(&is)
	}
}

// TestRollout restarts the webhook the normal way, as for an upgrade, while Services are created and edited all the
// time. No write fails.
func TestRollout(t *testing.T) {
	f := setUp(t)
	app := f.app("web", 1)
	f.start(app, time.Hour)
	writers := f.write(app, 8)
	f.wait("writes to be carried out", writers.succeed(100))
	for range 2 {
		for _, args := range [][]string{{"restart"}, {"status", "--timeout=2m"}} {
			_, err := cluster.Kubectl(f.ctx, "", append([]string{"-n", kit.SystemNamespace, "rollout", args[0],
				"deployment/tpa-webhook"}, args[1:]...)...)
			f.must(err)
		}
	}
	f.wait("the pods of before to be gone", func(ctx context.Context) (bool, string) {
		var pods corev1.PodList
		err := cluster.List(ctx, &pods, client.InNamespace(kit.SystemNamespace), kit.WebhookLabels)
		return err == nil && len(pods.Items) == 2, fmt.Sprintf("%d pods, %v", len(pods.Items), err)
	})
	f.wait("writes to be carried out", writers.succeed(100))
	tally := writers.Stop()
	t.Logf("two rollouts: %s", tally)
	if tally.Refused+tally.Other > 0 {
		t.Errorf("writes failed: %s", tally)
	}
}
