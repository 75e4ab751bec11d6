//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// The crowd is crowdApps apps that listen on crowdPorts ports each. Every port has a Service of its own; the last
// Service of an app leads to its last three.
const (
	crowdApps  = 10
	crowdPorts = 22
	crowdSize  = crowdApps * (crowdPorts - 2)
)

// firstPort is the first port of an app of the crowd.
const firstPort = 9100

// TestCrowd creates 200 annotated Services at once in one namespace, through both replicas of the webhook, and kills the
// leader when half are Active. All become Active, no two have a port in common, and each leads to its own backend.
func TestCrowd(t *testing.T) {
	f := setUp(t)
	scrape := f.scraper()
	f.wait("TPA to be ready", ready)
	reviewed := scrape.reviews()
	services := f.crowd()
	trail := follow[*corev1.Service](f, &corev1.ServiceList{})
	start := time.Now()
	var creating errgroup.Group
	creating.Go(func() error { return f.createAtOnce(services) })
	t.Cleanup(func() { _ = creating.Wait() })

	_, err := trail.Await(f.ctx, patience, "half of the Services to be Active", 0, func(kit.Change[*corev1.Service]) bool {
		return len(activeIn(trail)) >= crowdSize/2
	})
	f.must(err)
	for pod, n := range scrape.reviews() {
		t.Logf("webhook %s has reviewed %d requests", pod, n-reviewed[pod])
		if n == reviewed[pod] {
			t.Errorf("webhook %s was not asked: this says nothing about two replicas", pod)
		}
	}
	leader := f.leader()
	before, killed := len(activeIn(trail)), time.Now()
	// A pod that is deleted by force goes on for two seconds. This is to come without notice.
	f.must(kit.Crash(leader))
	f.must(cluster.Delete(f.ctx, leader, client.GracePeriodSeconds(0)))
	t.Logf("%d Active after %.1fs, when leader %s was killed", before, killed.Sub(start).Seconds(), leader.Name)
	if before == crowdSize {
		t.Fatal("all were Active already: this says nothing about the leader's end")
	}
	f.must(creating.Wait())
	_, err = trail.Await(f.ctx, patience, "all Services to be Active", 0, func(kit.Change[*corev1.Service]) bool {
		return len(activeIn(trail)) == crowdSize
	})
	f.must(err)
	t.Logf("all %d Active %.1fs after the kill", crowdSize, time.Since(killed).Seconds())
	if next := f.leader(); next.UID == leader.UID {
		t.Errorf("%s still leads", next.Name)
	}

	owner := map[int32]string{}
	for _, service := range services {
		for _, slot := range f.slots(service.Name) {
			if other, taken := owner[slot]; taken {
				t.Errorf("%s and %s share port %d", service.Name, other, slot)
			}
			owner[slot] = service.Name
		}
	}
	f.wait("TPA to be ready again", ready)
	f.eachLeadsHome(services)
}

// crowd starts the apps and returns the Services, none of which exists yet.
func (f *fixture) crowd() []*corev1.Service {
	f.Helper()
	var services []*corev1.Service
	for i := range crowdApps {
		app := f.app(fmt.Sprintf("app%d", i), 1)
		addresses := "--addr=:8080" // where the probe asks
		for n := range crowdPorts {
			addresses += fmt.Sprintf(",:%d", firstPort+n)
		}
		app.Args = []string{addresses}
		f.create(app.Deployment())
		for n := range crowdPorts - 2 {
			service := app.Service(managed(app.Name, time.Hour))
			service.Name = fmt.Sprintf("%s-%d", app.Name, n)
			service.Spec.Ports = []corev1.ServicePort{{Name: "main", Port: 80, TargetPort: intstr.FromInt32(int32(firstPort + n))}}
			services = append(services, service)
		}
		last := services[len(services)-1]
		for n := crowdPorts - 2; n < crowdPorts; n++ {
			last.Spec.Ports = append(last.Spec.Ports, corev1.ServicePort{
				Name: fmt.Sprintf("port%d", n), Port: int32(80 + n), TargetPort: intstr.FromInt32(int32(firstPort + n)),
			})
		}
	}
	for i := range crowdApps {
		f.ready(fmt.Sprintf("app%d", i), 1)
	}
	return services
}

// createAtOnce creates all Services at once, each again while the webhook does not answer, as `kubectl apply` in a loop
// and GitOps do.
func (f *fixture) createAtOnce(services []*corev1.Service) error {
	start := time.Now()
	var refused atomic.Int64
	err := atOnce(services, func(service *corev1.Service) error {
		return kit.Wait(f.ctx, patience, "service "+service.Name+" to be admitted", func(ctx context.Context) (bool, string) {
			err := cluster.Create(ctx, service.DeepCopy())
			if err == nil {
				return true, ""
			}
			if !unanswered(err) {
				f.Errorf("create %s: %v", service.Name, err)
				return true, ""
			}
			refused.Add(1)
			return false, err.Error()
		})
	})
	f.Logf("%d Services created in %.1fs, %d creates tried again because the webhook did not answer", len(services),
		time.Since(start).Seconds(), refused.Load())
	return err
}

// atOnce does something for all, many at once, and returns the first error.
func atOnce[T any](all []T, do func(T) error) error {
	var group errgroup.Group
	group.SetLimit(32)
	for _, one := range all {
		group.Go(func() error { return do(one) })
	}
	return group.Wait()
}

// activeIn are the names of the Services that a trail shows as Active last.
func activeIn(trail *kit.Trail[*corev1.Service]) map[string]bool {
	active := map[string]bool{}
	for _, c := range trail.Since(0) {
		if c.Object.Annotations[contract.PhaseKey] == string(contract.Active) {
			active[c.Object.Name] = true
		}
	}
	return active
}

// leader returns the pod that runs the controller.
func (f *fixture) leader() *corev1.Pod {
	f.Helper()
	var lease coordinationv1.Lease
	f.must(cluster.Get(f.ctx, client.ObjectKey{Namespace: kit.SystemNamespace, Name: "tpa-controller"}, &lease))
	if lease.Spec.HolderIdentity == nil {
		f.Fatal("nobody leads")
	}
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	var pod corev1.Pod
	f.must(cluster.Get(f.ctx, client.ObjectKey{Namespace: kit.SystemNamespace, Name: name}, &pod))
	return &pod
}

// slots are the proxy's ports of a Service that is Active.
func (f *fixture) slots(service string) []int32 {
	f.Helper()
	ports, err := contract.ParsePorts(f.active(service).Annotations[contract.PortsKey])
	f.must(err)
	return slices.Collect(maps.Values(ports))
}

// askFrom asks on a new connection from a node.
func askFrom(ctx context.Context, node kit.Node, address string) (kit.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	conn, err := node.Open(ctx, address)
	if err != nil {
		return kit.Reply{}, err
	}
	defer conn.Close()
	return conn.Ask(answerWithin)
}

// eachLeadsHome calls each port of each Service from each node until the call leads through a proxy, which takes
// kube-proxy a moment after Active. Once a node knows the Service no call may fail, and no answer may be a wrong one.
func (f *fixture) eachLeadsHome(services []*corev1.Service) {
	f.Helper()
	proxies := map[string]bool{}
	for _, p := range f.proxies() {
		proxies[p.Status.PodIP] = true
	}
	type call struct {
		service *corev1.Service
		port    corev1.ServicePort
		from    kit.Node
	}
	var calls []call
	for _, service := range services {
		live := f.service(service.Name)
		for _, port := range service.Spec.Ports {
			for _, node := range cluster.Nodes {
				calls = append(calls, call{live, port, node})
			}
		}
	}
	start := time.Now()
	f.must(atOnce(calls, func(c call) error {
		what := fmt.Sprintf("%s, port %d, from %s", c.service.Name, c.port.Port, c.from.Name)
		app, _, _ := strings.Cut(c.service.Name, "-")
		known := false // to that node
		return kit.Wait(f.ctx, patience, what+" to lead through a proxy", func(ctx context.Context) (bool, string) {
			reply, err := askFrom(ctx, c.from, address(c.service, c.port.Port))
			if err != nil && known {
				f.Errorf("%s: %v", what, err)
			}
			if err != nil {
				return false, err.Error()
			}
			known = true
			if !strings.HasPrefix(reply.Pod, app+"-") || reply.Port() != c.port.TargetPort.String() {
				f.Errorf("%s led to %+v, want port %s of %s", what, reply, c.port.TargetPort.String(), app)
			}
			return proxies[reply.Peer()], fmt.Sprintf("%s was called from %s", reply.Pod, reply.Peer())
		})
	}))
	f.Logf("%d ports of %d Services called from %d nodes within %.1fs", len(calls)/len(cluster.Nodes), len(services),
		len(cluster.Nodes), time.Since(start).Seconds())
}
