//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// TestMode is about targets that only observe, are paused, or asked to sleep.
func TestMode(t *testing.T) {
	t.Run("observe", testObserve)
	t.Run("pause", testPause)
	t.Run("sleep", testSleepRequested)
}

// testObserve tries TPA in a namespace: nothing is scaled, and it is said what would have been saved. Then it is let sleep.
func testObserve(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.must(cluster.Patch(f.ctx, kit.Namespace(f.ns, true), merge("annotations", contract.ModeKey, "observe")))
	s := f.start(f.app("web", 2), idle)
	f.proxied(address(s, 80))
	trail := f.followDeployment("web")

	from := trail.Len()
	f.wait("the proxies to say that it would be asleep", func(context.Context) (bool, string) {
		asleep := f.ofTarget("tpa_observed_target_asleep", "deployment/web")
		return asleep == 1, fmt.Sprint(asleep)
	})
	f.must(trail.Never(f.ctx, 2*idle, "scaled to 0 although it is only observed", from, atZero))
	if n := f.ofTarget("tpa_observed_saved_replica_seconds_total", "deployment/web"); n < 2*idle.Seconds() {
		t.Errorf("%g replica-seconds of two pods would be saved in more than %s", n, 2*idle)
	}
	f.askOnce(address(s, 80))
	if h := f.history("deployment/web"); h.Observed.Sleeps < 1 || h.Observed.Asleep < 2*idle.Seconds() || h.Sleeps+h.Wakes > 0 {
		t.Errorf("after somebody came: %s", h)
	}
	f.must(cluster.Patch(f.ctx, kit.Namespace(f.ns, true), merge("annotations", contract.ModeKey, "")))
	f.asleep("web")
	if h := f.history("deployment/web"); h.Observed.Sleeps < 1 || h.Sleeps != 1 {
		t.Errorf("asleep: %s", h)
	}
}

// testPause wakes what sleeps, and has it sleep again once it is resumed.
func testPause(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.start(f.app("web", 1), idle)
	f.asleep("web")
	trail := f.followDeployment("web")
	f.annotate("web", contract.ModeKey, "paused")
	from := f.woken(trail, 0)
	f.ready("web", 1)
	f.must(trail.Never(f.ctx, 3*idle, "scaled to 0 although it is paused", from, atZero))
	if h := f.history("deployment/web"); h.Wakes != 0 || h.LastWake != nil {
		t.Errorf("to pause is no connection: %s", h)
	}
	f.annotate("web", contract.ModeKey, "")
	f.asleep("web")
}

// testSleepRequested does not wait for the idle time-out, until the next use.
func testSleepRequested(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	s := f.start(f.app("web", 1), time.Hour)
	f.proxied(address(s, 80))
	trail := f.followDeployment("web")
	from, asked := trail.Len(), time.Now()
	f.annotate("web", contract.SleepRequestedKey, asked.UTC().Format(metav1.RFC3339Micro))
	change, err := trail.Await(f.ctx, patience, "replicas at 0", from, atZero)
	f.must(err)
	f.Logf("scaled to 0 %.2fs after it was asked for", change.At.Sub(asked).Seconds())
	f.asleep("web")
	from = trail.Len()
	f.askOnce(address(s, 80))
	from = f.woken(trail, from)
	f.must(trail.Never(f.ctx, 3*idle, "scaled to 0 for a request of before its last use", from, atZero))
}

// ofTarget is the greatest value of a target's series among the proxies; 0 if there is none.
func (f *fixture) ofTarget(name, target string) (most float64) {
	f.Helper()
	for _, pod := range f.proxies() {
		text, err := kit.Get(f.ctx, "http://"+pod.Status.PodIP+":9090/metrics")
		f.must(err)
		for _, n := range samples(string(text), fmt.Sprintf("%s{namespace=%q,target=%q}", name, f.ns, target)) {
			most = max(most, n)
		}
	}
	return most
}

// history is what has become of a target.
func (f *fixture) history(target string) contract.History {
	f.Helper()
	t, err := contract.ParseTarget(target)
	f.must(err)
	var lease coordinationv1.Lease
	f.must(cluster.Get(f.ctx, f.key(t.Lease()), &lease))
	h, err := contract.ParseHistory(lease.Annotations[contract.HistoryKey])
	f.must(err)
	return h
}
