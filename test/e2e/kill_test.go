//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// kills are the ways that a pod is killed.
var kills = []struct {
	name    string
	options []client.DeleteOption
}{
	{"deleted", nil},
	{"deleted by force", []client.DeleteOption{client.GracePeriodSeconds(0)}},
}

// TestProxiesKilled kills each proxy in turn while clients run. What was established through another one goes on, and
// a new connection needs no more than a second try.
func TestProxiesKilled(t *testing.T) {
	f := setUp(t)
	s := f.start(f.app("web", 2), time.Hour)
	f.ready("web", 2)
	to := address(s, 80)
	f.proxied(to)
	load := kit.StartLoad(f.ctx, kit.Load{From: f.far, Address: to, App: "web-", Clients: 4, Retry: true})
	for _, kill := range kills {
		f.fullyProxied(to)
		for _, victim := range f.proxies() {
			through := f.openThroughEach(to, 2)
			answered := f.keepAsking(through, victim.Status.PodIP)
			if err := cluster.Delete(f.ctx, &victim, kill.options...); err != nil {
				t.Fatal(err)
			}
			if kill.options == nil {
				// It is told to stop, which is no reason to drop anybody.
				for _, conn := range through[victim.Status.PodIP] {
					f.ask(conn)
				}
			}
			for _, conn := range through[victim.Status.PodIP] {
				conn.Close()
			}
			f.wait("proxy "+victim.Name+" to be gone", f.gone(&victim))
			f.fullyProxied(to)
			f.wait("clients to be answered", answers(load, 100))
			for conn, err := range answered() {
				if err != nil {
					t.Errorf("proxy %s was %s; a connection through another one failed: %s: %v", victim.Name, kill.name,
						conn.LocalAddr(), err)
				}
			}
			t.Logf("%s %s: %s", victim.Name, kill.name, load.Tally())
		}
	}
	if tally := load.Stop(); tally.Failed() > 0 {
		t.Errorf("new connections, with one retry: %s", tally)
	}
}

// TestWebhookKilled kills each webhook pod in turn. Clients do not notice.
func TestWebhookKilled(t *testing.T) {
	f := setUp(t)
	awake := f.start(f.app("web", 1), time.Hour)
	f.ready("web", 1)
	f.proxied(address(awake, 80))
	load := kit.StartLoad(f.ctx, kit.Load{From: f.far, Address: address(awake, 80), App: "web-", Clients: 4})
	for _, kill := range kills {
		var pods corev1.PodList
		f.must(cluster.List(f.ctx, &pods, client.InNamespace(kit.SystemNamespace), kit.WebhookLabels))
		for _, victim := range pods.Items {
			if err := cluster.Delete(f.ctx, &victim, kill.options...); client.IgnoreNotFound(err) != nil {
				t.Fatal(err)
			}
			f.wait(victim.Name+" to be gone", f.gone(&victim))
			f.wait("TPA to be ready again", ready)
			f.wait("clients to be answered", answers(load, 50))
		}
	}
	if tally := load.Stop(); tally.Failed() > 0 {
		t.Errorf("clients: %s", tally)
	}
}

// gone looks whether a pod does not exist any more.
func (f *fixture) gone(pod *corev1.Pod) func(context.Context) (bool, string) {
	key, uid := client.ObjectKeyFromObject(pod), pod.UID
	return func(ctx context.Context) (bool, string) {
		var now corev1.Pod
		err := cluster.Get(ctx, key, &now)
		return apierrors.IsNotFound(err) || err == nil && now.UID != uid, fmt.Sprintf("%s, %v", kit.Describe(&now), err)
	}
}

// fullyProxied waits until the namespace has all its proxies and new connections lead through each.
func (f *fixture) fullyProxied(address string) {
	f.Helper()
	missing := map[string]bool{}
	f.wait("connections through every proxy", func(ctx context.Context) (bool, string) {
		proxies := f.proxies()
		clear(missing)
		for _, p := range proxies {
			missing[p.Status.PodIP] = true
		}
		if len(proxies) != contract.DefaultProxyReplicas {
			return false, fmt.Sprint(len(proxies), " proxies")
		}
		for range 10 {
			if conn, err := f.far.Open(ctx, address); err == nil {
				if reply, err := conn.Ask(answerWithin); err == nil {
					delete(missing, reply.Peer())
				}
				conn.Close()
			}
		}
		return len(missing) == 0, fmt.Sprintf("none led through %v", missing)
	})
}

// openThroughEach opens connections until so many lead through each proxy, and returns them by its address.
func (f *fixture) openThroughEach(address string, n int) map[string][]*kit.Conn {
	f.Helper()
	through := map[string][]*kit.Conn{}
	f.wait("connections through each proxy", func(ctx context.Context) (bool, string) {
		conn, err := f.far.Open(ctx, address)
		if err != nil {
			return false, err.Error() // a proxy that was killed just now; the load counts those
		}
		reply, err := conn.Ask(answerWithin)
		if err != nil || len(through[reply.Peer()]) == n {
			conn.Close()
			return false, fmt.Sprintf("%v, %v", reply, err)
		}
		f.Cleanup(func() { conn.Close() })
		through[reply.Peer()] = append(through[reply.Peer()], conn)
		for _, p := range f.proxies() {
			if len(through[p.Status.PodIP]) < n {
				return false, fmt.Sprintf("%d through %s", len(through[p.Status.PodIP]), p.Name)
			}
		}
		return true, ""
	})
	return through
}

// keepAsking asks on all connections but those through one proxy, again and again. The function that it returns ends
// that, asks each a last time, and tells how each fared.
func (f *fixture) keepAsking(through map[string][]*kit.Conn, but string) func() map[*kit.Conn]error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	results := map[*kit.Conn]error{}
	stop := make(chan struct{})
	for address, conns := range through {
		if address == but {
			continue
		}
		for _, conn := range conns {
			wg.Go(func() {
				var err error
				for stopped := false; err == nil && !stopped; {
					select {
					case <-stop:
						stopped = true
					case <-time.After(20 * time.Millisecond):
					}
					_, err = conn.Ask(answerWithin)
				}
				mu.Lock()
				defer mu.Unlock()
				results[conn] = err
			})
		}
	}
	return func() map[*kit.Conn]error {
		close(stop)
		wg.Wait()
		if len(results) == 0 {
			f.Fatal("there was no connection through a surviving proxy")
		}
		for _, conns := range through {
			for _, conn := range conns {
				conn.Close()
			}
		}
		return results
	}
}
