//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

const (
	// heldFor is the wake time-out of a staged app.
	heldFor = 20 * time.Second
	// overdue is how much later than its time-out a connection may end.
	overdue = 5 * time.Second
)

// staged is an app that is held in some phase.
type staged struct {
	*fixture
	app    kit.App
	to     string
	before kit.Snapshot
	// quota, if set, keeps the phase from ending: pods of a kind cannot be created.
	quota *corev1.ResourceQuota
	// held, if set, has asked and is not answered yet.
	held *asked
	// open, if set, leads through a proxy to a pod.
	open *kit.Conn
	// leaves says that the Service was opted out.
	leaves bool
}

// pending has an annotated Service whose proxies cannot be created.
func (d *staged) pending() {
	d.forbid(corev1.ResourceQuotaScopeNotBestEffort) // proxies request CPU and memory, the app does not
	d.begin()
	d.wait("proxies to be forbidden", func(ctx context.Context) (bool, string) {
		var proxy appsv1.Deployment
		if err := cluster.Get(ctx, d.key(contract.ProxyName), &proxy); err != nil {
			return false, err.Error()
		}
		for _, c := range proxy.Status.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", proxy.Status.Conditions)
	})
	d.in(contract.Pending)
}

// awake has a connection open to a Service that is Active.
func (d *staged) awake() {
	d.begin()
	d.active("web")
	d.proxied(d.to)
	d.open = d.fixture.open(d.to)
	d.ask(d.open)
}

// asleep has a Service that sleeps.
func (d *staged) asleep() {
	d.begin()
	d.active("web")
	d.fixture.asleep("web")
}

// waking has a connection wait for pods that cannot be created.
func (d *staged) waking() {
	d.asleep()
	d.forbid(corev1.ResourceQuotaScopeBestEffort)
	trail := d.followDeployment("web")
	d.held = d.askLater()
	d.woken(trail, 0)
}

// restoring has a Service that was opted out wait for pods that cannot be created.
func (d *staged) restoring() {
	d.asleep()
	d.forbid(corev1.ResourceQuotaScopeBestEffort)
	trail := d.followDeployment("web")
	d.annotate("web", contract.TargetKey, "")
	d.leaves = true
	d.woken(trail, 0)
	d.in(contract.Restoring)
}

// begin creates the app with an annotated Service.
func (d *staged) begin() {
	d.Helper()
	annotations := managed("web", idle)
	annotations[contract.WakeTimeoutKey] = heldFor.String()
	s := d.app.Service(annotations)
	d.create(d.app.Deployment(), s)
	d.before = kit.Snap(s)
	d.to = address(s, 80)
	d.reachable(d.to)
}

// in checks the Service's phase.
func (d *staged) in(phase contract.Phase) {
	d.Helper()
	if s := d.fixture.service("web"); s.Annotations[contract.PhaseKey] != string(phase) {
		d.Fatalf("not %s: %s", phase, kit.Describe(s))
	}
}

// forbid has no pod of a kind created any more, until allow.
func (d *staged) forbid(kind corev1.ResourceQuotaScope) {
	d.Helper()
	d.quota = &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.ns, Name: "none"},
		Spec: corev1.ResourceQuotaSpec{
			Hard:   corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")},
			Scopes: []corev1.ResourceQuotaScope{kind},
		},
	}
	d.create(d.quota)
	d.wait("the quota to be in force", func(ctx context.Context) (bool, string) {
		err := cluster.Get(ctx, client.ObjectKeyFromObject(d.quota), d.quota)
		return err == nil && len(d.quota.Status.Hard) > 0, fmt.Sprintf("%+v, %v", d.quota.Status, err)
	})
}

// allow ends what forbid began.
func (d *staged) allow() {
	d.Helper()
	if d.quota != nil {
		d.must(cluster.Delete(d.ctx, d.quota))
	}
}

// asked is a connection that waits for an answer.
type asked struct {
	at     time.Time
	result chan error
}

// askLater asks on a new connection, without waiting for the answer.
func (d *staged) askLater() *asked {
	d.Helper()
	conn := d.fixture.open(d.to)
	a := &asked{time.Now(), make(chan error, 1)}
	go func() {
		defer conn.Close()
		_, err := conn.Ask(patience)
		a.result <- err
	}()
	return a
}

// answer waits for the answer.
func (a *asked) answer() error {
	select {
	case err := <-a.result:
		if err != nil {
			return fmt.Errorf("a connection that was held: ended after %.1fs: %w", time.Since(a.at).Seconds(), err)
		}
		return nil
	case <-time.After(time.Until(a.at.Add(heldFor + overdue))):
		return fmt.Errorf("a connection that was held: no answer within %s", heldFor+overdue)
	}
}

// end waits for the connection's end: with an answer or without, but not by the client's own patience.
func (a *asked) end() error {
	select {
	case <-a.result:
		return nil
	case <-time.After(time.Until(a.at.Add(heldFor + overdue))):
		return fmt.Errorf("a connection that cannot be served: still open after %s", heldFor+overdue)
	}
}
