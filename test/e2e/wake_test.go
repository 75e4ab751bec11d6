//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

// TestWake connects to a Service that sleeps: the connection is accepted while there is no pod, and answered once.
func TestWake(t *testing.T) {
	f := setUp(t)
	s := f.start(f.app("web", 3), idle)
	f.asleep("web")
	trail := f.followDeployment("web")

	start := time.Now()
	conn := f.open(address(s, 80))
	pods, err := f.pods(f.ctx, client.MatchingLabels{"app": "web"})
	f.must(err)
	if slices.ContainsFunc(pods, func(p corev1.Pod) bool { return kit.Ready(&p) }) {
		t.Fatal("a pod is ready already: this connection was not held")
	}
	f.must(conn.Echo(answerWithin, "to be heard once, at "+start.String()))
	t.Logf("answered after %.2fs", time.Since(start).Seconds())
	f.ready("web", 3)
	if got := scalings(trail.Since(0)); !slices.Equal(got, []int32{0, 3}) {
		t.Errorf("replicas went %v, want 0 and then the 3 that it had", got)
	}
	if total := f.counts("web"); total != 1 {
		t.Errorf("the pods got %d requests, 1 was sent", total)
	}
}

// TestWakeCrowd lets 50 clients connect at once to a Service that sleeps. Two proxies hold them; one scales up, once.
func TestWakeCrowd(t *testing.T) {
	const clients = 50
	f := setUp(t)
	s := f.start(f.app("web", 2), idle)
	f.asleep("web")
	trail := f.followDeployment("web")
	asleep := f.deployment("web").Generation

	var wg sync.WaitGroup
	errs := make([]error, clients)
	begin := make(chan struct{})
	for i := range clients {
		wg.Go(func() {
			<-begin
			conn, err := f.far.Open(f.ctx, address(s, 80))
			if err == nil {
				defer conn.Close()
				err = conn.Echo(answerWithin, fmt.Sprintf("client %d", i))
			}
			errs[i] = err
		})
	}
	start := time.Now()
	close(begin)
	wg.Wait()
	t.Logf("all answered after %.2fs", time.Since(start).Seconds())
	failed := map[kit.Kind]int{}
	for _, err := range errs {
		if err != nil {
			failed[kit.KindOf(err)]++
			t.Log(err)
		}
	}
	if len(failed) > 0 {
		t.Errorf("not answered: %v of %d", failed, clients)
	}
	f.ready("web", 2)
	if got := scalings(trail.Since(0)); !slices.Equal(got, []int32{0, 2}) {
		t.Errorf("replicas went %v, want 0, 2", got)
	}
	if generation := f.deployment("web").Generation; generation != asleep+1 {
		t.Errorf("the Deployment's spec was written %d times, want once", generation-asleep)
	}
	if total := f.counts("web"); total != clients {
		t.Errorf("the pods got %d requests, %d were sent", total, clients)
	}
}
