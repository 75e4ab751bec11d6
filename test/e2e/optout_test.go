//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// TestOptOut takes TPA away from a Service that sleeps: first it is awake, then it is exactly what it was.
func TestOptOut(t *testing.T) {
	removeAnnotation := func(f *fixture) { f.annotate("web", contract.TargetKey, "") }
	for _, test := range []struct {
		name    string
		optOut  func(*fixture)
		clients int // that begin to ask right after the opt-out
	}{
		{"annotation", removeAnnotation, 4},
		{"annotation unused", removeAnnotation, 0},
		{"namespace", func(f *fixture) { f.labelNamespace(contract.InjectLabel, "") }, 4},
		{"namespace unused", func(f *fixture) { f.labelNamespace(contract.InjectLabel, "") }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := setUp(t)
			s := f.adoptAndSleep("web", 2)
			trail := f.followRestore("web")
			test.optOut(f)
			var loads []*kit.Running
			if test.clients > 0 {
				loads = f.clients(address(s.service, 80), test.clients)
			}
			f.restored("web", s.before)
			trail.check()
			f.ready("web", 2)
			for _, load := range loads {
				f.wait("answers after the restore", answers(load, 50))
			}
			f.wait("the namespace's proxy to be gone", f.noProxy)
			for _, load := range loads {
				if tally := load.Stop(); tally.Failed() > 0 {
					t.Errorf("clients from the opt-out on: %s", tally)
				}
			}
			f.askOnce(address(s.service, 80))
		})
	}
}

// adopted is a Service that TPA has taken over.
type adopted struct {
	service *corev1.Service
	before  kit.Snapshot // the Service before that
}

// adoptAndSleep creates an app with a Service that is in use, has TPA take it over, and waits until it sleeps.
func (f *fixture) adoptAndSleep(name string, replicas int32) adopted {
	f.Helper()
	app := f.app(name, replicas)
	service := app.Service(nil)
	f.create(app.Deployment(), service)
	f.ready(name, replicas)
	f.reachable(address(service, 80))
	a := adopted{before: kit.Snap(service)}
	f.annotate(name, contract.IdleTimeoutKey, idle.String())
	f.annotate(name, contract.TargetKey, name)
	a.service = f.active(name)
	f.asleep(name)
	return a
}

// clients starts some clients with a connection for each request, and one that keeps its connection, but not for as long as
// the local overlay's --proxy-drain, after which a proxy that goes ends it.
func (f *fixture) clients(address string, n int) []*kit.Running {
	load := kit.Load{From: f.far, Address: address, Clients: n, Timeout: time.Minute}
	keep := load
	keep.Clients, keep.KeepAlive, keep.Life = 1, true, 20*time.Second
	return []*kit.Running{kit.StartLoad(f.ctx, load), kit.StartLoad(f.ctx, keep)}
}

// restoreTrail follows a Service and its pods from before an opt-out on.
type restoreTrail struct {
	f        *fixture
	services *kit.Trail[*corev1.Service]
	pods     *kit.Trail[*corev1.Pod]
}

func (f *fixture) followRestore(app string) restoreTrail {
	f.Helper()
	return restoreTrail{f, f.followService(app), f.followPods(map[string]string{"app": app})}
}

// check checks the order: a backend was ready before the Service was written back, and it was Restoring until then.
func (r restoreTrail) check() {
	r.f.Helper()
	back, err := r.services.Await(r.f.ctx, patience, "the selector to be the user's", 0, func(c kit.Change[*corev1.Service]) bool {
		return !contract.IsProxySelector(c.Object.Spec.Selector)
	})
	r.f.must(err)
	awake, err := r.pods.Await(r.f.ctx, patience, "a ready pod", 0, func(c kit.Change[*corev1.Pod]) bool {
		return !c.Deleted && kit.Ready(c.Object)
	})
	r.f.must(err)
	if !r.f.before(awake.Object, back.Object) {
		r.f.Errorf("the Service was restored before a backend was ready:\n%s\n%s", back, awake)
	}
	want := []string{string(contract.Active), string(contract.Restoring), ""}
	if got := phases(r.services.Since(0)); !slices.Equal(got, want) {
		r.f.Errorf("phases: %s, want %s", fmt.Sprintf("%q", got), fmt.Sprintf("%q", want))
	}
}
