//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

const (
	// patience is for what must happen but has no deadline of its own.
	patience = 2 * time.Minute
	// answerWithin is for one request, a wake included.
	answerWithin = 30 * time.Second
	// idle is the usual idle time-out of a test.
	idle = 4 * time.Second
	// late is how much longer than its idle time-out an unused target may stay awake.
	late = 5 * time.Second
)

// fixture is one test's namespace.
type fixture struct {
	*testing.T
	ctx context.Context
	ns  string
	// far is a node other than the one that the test runs on, near that one.
	far, near kit.Node
}

// setUp makes a namespace, opted in, that goes with the test.
func setUp(t *testing.T) *fixture { return setUpNamespace(t, true) }

func setUpNamespace(t *testing.T, optedIn bool) *fixture {
	t.Helper()
	name := strings.ToLower(strings.Map(func(r rune) rune {
		if r == '/' || r == '_' || r == ' ' {
			return '-'
		}
		return r
	}, strings.TrimPrefix(t.Name(), "Test")))
	ns := kit.Namespace("", optedIn)
	ns.GenerateName = "e2e-" + name[:min(len(name), 40)] + "-"
	ns.Labels[suiteLabel] = "true"
	f := &fixture{T: t, ctx: t.Context(), near: cluster.Nodes[0], far: cluster.Nodes[1]}
	f.create(ns)
	f.ns = ns.Name
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if t.Failed() {
			t.Log("namespace " + f.ns + ":\n" + cluster.Diagnose(ctx, f.ns))
		}
		if os.Getenv("KEEP_NAMESPACES") != "" {
			return
		}
		if err := cluster.Delete(ctx, ns); client.IgnoreNotFound(err) != nil {
			t.Errorf("delete namespace %s: %v", f.ns, err)
		}
	})
	return f
}

// managed is the annotations of a Service in front of the Deployment.
func managed(target string, idle time.Duration) map[string]string {
	return map[string]string{contract.TargetKey: target, contract.IdleTimeoutKey: idle.String()}
}

// must ends the test at an error.
func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) create(objects ...client.Object) {
	f.Helper()
	for _, o := range objects {
		if err := cluster.Create(f.ctx, o); err != nil {
			f.Fatalf("create %s: %v", o.GetName(), err)
		}
	}
}

// app is the test app in this namespace.
func (f *fixture) app(name string, replicas int32) kit.App {
	return kit.App{Name: name, Namespace: f.ns, Replicas: replicas}
}

// start creates the app with an annotated Service, both at once, and waits until the Service is Active and the nodes
// know it.
func (f *fixture) start(app kit.App, idle time.Duration) *corev1.Service {
	f.Helper()
	return f.startWith(app.Deployment(), app.Service(managed(app.Name, idle)))
}

// startWith is start of a workload and an annotated Service as they are.
func (f *fixture) startWith(workload client.Object, service *corev1.Service) *corev1.Service {
	f.Helper()
	f.create(workload, service)
	s := f.active(service.Name)
	for _, p := range s.Spec.Ports {
		f.reachable(address(s, p.Port))
	}
	return s
}

// with adds an annotation to others.
func with(annotations map[string]string, key, value string) map[string]string {
	annotations[key] = value
	return annotations
}

func (f *fixture) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: f.ns, Name: name}
}

func (f *fixture) service(name string) *corev1.Service {
	f.Helper()
	var s corev1.Service
	f.must(cluster.Get(f.ctx, f.key(name), &s))
	return &s
}

func (f *fixture) deployment(name string) *appsv1.Deployment {
	f.Helper()
	var d appsv1.Deployment
	f.must(cluster.Get(f.ctx, f.key(name), &d))
	return &d
}

// pods returns the pods of an app, those on their way out included.
func (f *fixture) pods(ctx context.Context, labels client.MatchingLabels) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := cluster.List(ctx, &pods, client.InNamespace(f.ns), labels)
	return pods.Items, err
}

// wait waits for a state without a deadline of its own.
func (f *fixture) wait(what string, look func(context.Context) (bool, string)) {
	f.Helper()
	f.must(kit.Wait(f.ctx, patience, what, look))
}

// active waits until a Service is Active, and checks that its spec is the proxy's then and nothing else.
func (f *fixture) active(name string) *corev1.Service {
	f.Helper()
	var s corev1.Service
	f.wait("service "+name+" to be Active", func(ctx context.Context) (bool, string) {
		if err := cluster.Get(ctx, f.key(name), &s); err != nil {
			return false, err.Error()
		}
		return s.Annotations[contract.PhaseKey] == string(contract.Active), kit.Describe(&s)
	})
	ports, err := contract.ParsePorts(s.Annotations[contract.PortsKey])
	f.must(err)
	if !contract.IsProxySelector(s.Spec.Selector) || s.Labels[contract.ManagedLabel] != contract.ManagedTrue {
		f.Fatalf("Active, but not rewritten: %s", kit.Describe(&s))
	}
	for _, p := range s.Spec.Ports {
		if p.TargetPort.IntVal != ports[p.Port] {
			f.Fatalf("Active, but port %d does not lead to its slot: %s", p.Port, kit.Describe(&s))
		}
	}
	return &s
}

// restored waits until a Service is as it was before TPA.
func (f *fixture) restored(name string, before kit.Snapshot) {
	f.Helper()
	f.wait("service "+name+" to be as it was", func(ctx context.Context) (bool, string) {
		var s corev1.Service
		if err := cluster.Get(ctx, f.key(name), &s); err != nil {
			return false, err.Error()
		}
		if err := before.Restored(&s); err != nil {
			return false, err.Error()
		}
		return true, ""
	})
}

// ready waits until a Deployment asks for so many replicas and all are ready.
func (f *fixture) ready(name string, replicas int32) {
	f.Helper()
	f.wait(fmt.Sprintf("deployment %s to have %d ready replicas", name, replicas), func(ctx context.Context) (bool, string) {
		var d appsv1.Deployment
		if err := cluster.Get(ctx, f.key(name), &d); err != nil {
			return false, err.Error()
		}
		return kit.Replicas(&d) == replicas && d.Status.ObservedGeneration == d.Generation &&
			d.Status.ReadyReplicas == replicas, kit.Describe(&d)
	})
}

// address is where a Service is called by its ClusterIP.
func address(s *corev1.Service, port int32) string {
	return net.JoinHostPort(s.Spec.ClusterIP, fmt.Sprint(port))
}

// open opens a connection from another node.
func (f *fixture) open(address string) *kit.Conn { f.Helper(); return f.openFrom(f.far, address) }

func (f *fixture) openFrom(node kit.Node, address string) *kit.Conn {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, answerWithin)
	defer cancel()
	conn, err := node.Open(ctx, address)
	if err != nil {
		f.Fatalf("connect to %s from %s: %v", address, node.Name, err)
	}
	f.Cleanup(func() { conn.Close() })
	return conn
}

// ask asks on a connection.
func (f *fixture) ask(conn *kit.Conn) kit.Reply {
	f.Helper()
	reply, err := conn.Ask(answerWithin)
	if err != nil {
		f.Fatalf("ask %s: %v", conn.RemoteAddr(), err)
	}
	return reply
}

// askOnce asks on a new connection from another node, and closes it.
func (f *fixture) askOnce(address string) kit.Reply {
	f.Helper()
	conn := f.open(address)
	defer conn.Close()
	return f.ask(conn)
}
