//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

// goneWithin is how long a namespace may take to be deleted. Its proxies end within 15s, but Kubernetes looks again only
// after half of the time that they may take, which the local overlay sets to 1m.
const goneWithin = 90 * time.Second

// TestDelete deletes what TPA works with, in each phase of a Service: nothing hangs, nothing stays at zero, and nothing
// of TPA's is left without a Service.
func TestDelete(t *testing.T) {
	for _, phase := range []struct {
		name  string
		bring func(*staged)
	}{
		{"Pending", (*staged).pending},
		{"Active awake", (*staged).awake},
		{"Active asleep", (*staged).asleep},
		{"waking", (*staged).waking},
		{"Restoring", (*staged).restoring},
	} {
		for _, what := range []struct {
			name string
			do   func(*staged)
		}{
			{"Service", (*staged).service},
			{"Deployment", (*staged).deployment},
			{"Namespace", (*staged).namespace},
		} {
			t.Run(what.name+" "+phase.name, func(t *testing.T) {
				t.Parallel()
				f := setUp(t)
				d := &staged{fixture: f, app: f.app("web", 2)}
				phase.bring(d)
				what.do(d)
			})
		}
	}
}

// service deletes the Service. The Deployment is awake then and stays so, and TPA goes.
func (d *staged) service() {
	d.must(cluster.Delete(d.ctx, d.fixture.service("web")))
	d.allow()
	d.ready("web", 2)
	if d.held != nil {
		d.must(d.held.answer())
	}
	trail := d.followDeployment("web")
	d.wait("the namespace's proxy to be gone", d.noProxy)
	if d.open != nil {
		d.ask(d.open)
		d.open.Close()
	}
	d.wait("nothing of TPA's to be left", d.noTrace)
	d.must(trail.Never(d.ctx, idle, "scaled to 0 without a Service", 0, atZero))
}

// deployment deletes the Deployment and creates it again. TPA waits until that has been idle before it puts it to
// sleep, and wakes it.
func (d *staged) deployment() {
	d.must(cluster.Delete(d.ctx, d.fixture.deployment("web"), client.PropagationPolicy("Background")))
	d.wait("the last pod of web to be gone", d.noPod("web"))
	if d.open != nil {
		d.open.Close()
		d.must(d.askLater().end())
	}
	if d.leaves {
		d.restored("web", d.before) // there is nothing to wait for
	}
	d.create(d.app.Deployment())
	trail := d.followDeployment("web")
	d.allow()
	d.ready("web", 2)
	if d.held != nil {
		d.must(d.held.answer())
	}
	if d.leaves {
		d.wait("nothing of TPA's to be left", d.noTrace)
		d.must(trail.Never(d.ctx, idle, "scaled to 0 without TPA", 0, atZero))
		return
	}
	d.active("web")
	d.proxied(d.to)
	d.askOnce(d.to)
	d.sleepsInTime(trail, 0, idle, time.Now())
	d.fixture.asleep("web")
	d.askOnce(d.to)
	d.ready("web", 2)
}

// namespace deletes the whole namespace.
func (d *staged) namespace() {
	ns := kit.Namespace(d.ns, true)
	d.must(cluster.Delete(d.ctx, ns))
	start := time.Now()
	if d.held != nil {
		d.must(d.held.end())
	}
	if d.open != nil {
		load := kit.StartLoad(d.ctx, kit.Load{Conn: d.open})
		d.must(kit.Wait(d.ctx, heldFor, "the open connection to end", func(context.Context) (bool, string) {
			return load.Tally().Count[kit.Reset] == 1, load.Tally().String()
		}))
	}
	d.must(kit.Wait(d.ctx, time.Until(start.Add(goneWithin)), "namespace "+d.ns+" to be gone", func(ctx context.Context) (bool, string) {
		err := cluster.Get(ctx, client.ObjectKeyFromObject(ns), ns)
		return apierrors.IsNotFound(err), fmt.Sprintf("%+v, %v", ns.Status.Conditions, err)
	}))
	d.Logf("gone after %.1fs", time.Since(start).Seconds())
}
