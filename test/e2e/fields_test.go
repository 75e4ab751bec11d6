//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/test/kit"
)

// TestSleepBlocked: what keeps a target awake is told on its Services, once, and when that is mended the target sleeps.
func TestSleepBlocked(t *testing.T) {
	t.Run("bypass", func(t *testing.T) {
		testBlockedByAnother(t, func(f *fixture) { f.annotate("direct", contract.BypassKey, "true") })
	})
	t.Run("managed", func(t *testing.T) {
		testBlockedByAnother(t, func(f *fixture) {
			f.annotate("direct", contract.IdleTimeoutKey, idle.String())
			f.annotate("direct", contract.TargetKey, "web")
		})
	})
	t.Run("mismatch", testBlockedByMismatch)
}

// testBlockedByAnother has a Service beside the managed two that selects the same pods.
func testBlockedByAnother(t *testing.T, mend func(*fixture)) {
	t.Parallel()
	f := setUp(t)
	app := f.app("web", 1)
	direct, second := app.Service(nil), app.Service(managed("web", idle))
	direct.Name, second.Name = "direct", "second"
	f.create(direct, second)
	s := f.start(app, idle)
	f.ready("web", 1)
	trail := f.followDeployment("web")
	f.askOnce(address(s, 80))

	const why = "deployment/web does not sleep: Service direct, which is not managed, selects its pods: " +
		"annotate that with tpa.dev/target too, or with tpa.dev/bypass=true"
	f.toldOnce("web", "SleepBlocked", why)
	f.toldOnce("second", "SleepBlocked", why)
	// The Events come long after the idle time-out.
	if got := scalings(trail.Since(0)); len(got) != 1 {
		t.Errorf("replicas went %v while sleep was blocked", got)
	}

	mended := trail.Len()
	mend(f)
	_, err := trail.Await(f.ctx, patience, "replicas at 0", mended, atZero)
	f.must(err)
	f.asleep("web")
	f.toldOnce("web", "SleepBlocked", why)
	f.askOnce(address(s, 80))
}

// testBlockedByMismatch has a Service that names another's target.
func testBlockedByMismatch(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	web, shop := f.app("web", 1), f.app("shop", 1)
	f.create(web.Deployment(), shop.Deployment(), web.Service(managed("shop", idle)))
	f.active("web")
	trail := f.followDeployment("shop")
	f.toldOnce("web", "SleepBlocked", "deployment/shop does not sleep: Service web, which selects app=web, selects no pod of deployment/shop: "+
		"correct its selector, or its tpa.dev/target")
	f.annotate("web", contract.TargetKey, "web")
	f.asleep("web")
	if got := scalings(trail.Since(0)); len(got) != 1 {
		t.Errorf("replicas of shop went %v", got)
	}
}

// TestReplicasContested has somebody set the replicas back whenever the target sleeps, as a GitOps tool does. TPA stops
// fighting, says so, and tries again after the next use.
func TestReplicasContested(t *testing.T) {
	f := setUp(t)
	s := f.start(f.app("web", 1), idle)
	trail := f.followDeployment("web")
	from := 0
	for range sleep.MaxReverted {
		_, err := trail.Await(f.ctx, patience, "replicas at 0", from, atZero)
		f.must(err)
		f.asleep("web")
		from = trail.Len()
		_, err = f.kubectl("", "scale", "deployment", "web", "--replicas=1")
		f.must(err)
		from = f.woken(trail, from)
	}
	f.toldOnce("web", "ReplicasContested", "deployment/web does not sleep: others scaled it up 3 times in a row while it was asleep")
	f.must(trail.Never(f.ctx, 2*idle, "scaled to 0 once more", from, atZero))
	f.askOnce(address(s, 80))
	_, err := trail.Await(f.ctx, patience, "replicas at 0 after a use", from, atZero)
	f.must(err)
	f.asleep("web")
}

// TestAffinity: a client's connections reach one pod, through whichever proxy.
func TestAffinity(t *testing.T) {
	f := setUp(t)
	app := f.app("web", 4)
	service := app.Service(managed("web", time.Hour))
	service.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	f.create(app.Deployment(), service)
	s := f.active("web")
	f.ready("web", 4)
	f.reachable(address(s, 80))
	f.proxied(address(s, 80))
	proxies := f.proxies()
	if len(proxies) != contract.DefaultProxyReplicas {
		t.Fatalf("%d proxies", len(proxies))
	}
	for _, node := range cluster.Nodes {
		node.Source = node.IP
		pods := map[string]int{}
		for range 20 {
			for _, proxy := range proxies {
				to := net.JoinHostPort(proxy.Status.PodIP, s.Spec.Ports[0].TargetPort.String())
				pods[f.reply(node, to).Pod]++
			}
		}
		if len(pods) != 1 {
			t.Errorf("connections of %s through %d proxies reached %v", node.Name, len(proxies), pods)
		}
		t.Logf("%s: %v", node.Name, pods)
		pods = map[string]int{}
		for range 20 {
			pods[f.reply(node, address(s, 80)).Pod]++
		}
		if len(pods) != 1 {
			t.Errorf("connections of %s through the Service reached %v", node.Name, pods)
		}
	}
}

// TestLoadBalancer: a Service whose address a cloud provider gives and gives again.
func TestLoadBalancer(t *testing.T) {
	f := setUp(t)
	app := f.app("web", 1)
	service := app.Service(nil)
	service.Spec.Type, service.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
	f.create(app.Deployment(), service)
	f.ready("web", 1)
	const ip = "203.0.113.80"
	provide := func(status string) {
		f.must(cluster.Status().Patch(f.ctx, f.service("web"), client.RawPatch(types.MergePatchType, []byte(status))))
	}
	provide(`{"status":{"loadBalancer":{"ingress":[{"ip":"` + ip + `","ipMode":"VIP"}]}}}`)
	before := kit.Snap(f.service("web"))
	f.annotate("web", contract.AllowSourceIPLossKey, "true")
	f.annotate("web", contract.IdleTimeoutKey, idle.String())
	f.annotate("web", contract.TargetKey, "web")
	s := f.active("web")
	to := net.JoinHostPort(ip, fmt.Sprint(s.Spec.Ports[0].Port))
	f.proxied(to)

	f.asleep("web")
	f.reply(f.near, to)
	provide(`{"status":{"loadBalancer":{"ingress":[{"ip":"` + ip + `","ipMode":"VIP"},{"hostname":"web.example"}]}}}`)
	f.asleep("web")
	f.reply(f.far, to)
	f.annotate("web", contract.TargetKey, "")
	f.restored("web", before)
	if got := f.service("web").Status.LoadBalancer.Ingress; len(got) != 2 {
		t.Errorf("the provider's addresses are now %v", got)
	}
}
