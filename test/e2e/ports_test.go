//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/test/kit"
)

// TestPorts is about where connections lead to.
func TestPorts(t *testing.T) {
	t.Run("several", testSeveralPorts)
	t.Run("services", testTwoServices)
	t.Run("node", testNodePort)
}

// testSeveralPorts wakes a Service by each of its ports: named, numbered, and one where the server speaks first.
func testSeveralPorts(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	app := f.app("web", 1)
	service := app.Service(managed("web", idle))
	service.Spec.Ports = []corev1.ServicePort{
		{Name: "main", Port: 80, TargetPort: intstr.FromString("http")},
		{Name: "admin", Port: 81, TargetPort: intstr.FromInt32(8081)},
		{Name: "hello", Port: 9000, TargetPort: intstr.FromString("greeting")},
	}
	f.create(app.Deployment(), service)
	s := f.active("web")
	for _, p := range s.Spec.Ports {
		f.reachable(address(s, p.Port))
	}
	for port, want := range map[int32]string{80: "8080", 81: "8081"} {
		f.asleep("web")
		if reply := f.askOnce(address(s, port)); reply.Port() != want {
			t.Errorf("port %d led to port %s of the pod, want %s", port, reply.Port(), want)
		}
	}
	f.asleep("web")
	conn := f.open(address(s, 9000))
	f.must(conn.SetDeadline(time.Now().Add(answerWithin)))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "hello from web-") {
		t.Errorf("port 9000 says %q, %v", line, err)
	}
}

// testTwoServices has two Services in one namespace, and so behind the same proxies.
func testTwoServices(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	web := f.start(f.app("web", 1), idle)
	shop := f.start(f.app("shop", 2), idle)
	f.asleep("web")
	f.asleep("shop")
	trail := f.followDeployment("shop")
	if reply := f.askOnce(address(web, 80)); !strings.HasPrefix(reply.Pod, "web-") {
		t.Errorf("%s answered for web", reply.Pod)
	}
	if got := scalings(trail.Since(0)); len(got) != 1 {
		t.Errorf("shop's replicas went %v while web was woken", got)
	}
	if reply := f.askOnce(address(shop, 80)); !strings.HasPrefix(reply.Pod, "shop-") {
		t.Errorf("%s answered for shop", reply.Pod)
	}
	f.ready("shop", 2)
	if got := scalings(trail.Since(0)); len(got) != 2 || got[1] != 2 {
		t.Errorf("shop's replicas went %v, want 0, 2", got)
	}
}

// testNodePort wakes a Service by each node's address, called from the other node, and then calls each from everywhere.
func testNodePort(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	app := f.app("web", 1)
	service := app.Service(managed("web", idle))
	service.Spec.Type = corev1.ServiceTypeNodePort
	f.create(app.Deployment(), service)
	s := f.active("web")
	at := func(n kit.Node) string { return net.JoinHostPort(n.IP, fmt.Sprint(s.Spec.Ports[0].NodePort)) }
	for _, node := range cluster.Nodes {
		f.reachable(at(node))
	}
	f.asleep("web")
	f.reply(f.far, at(f.near))
	f.asleep("web")
	f.reply(f.near, at(f.far))
	for _, from := range cluster.Nodes {
		for _, to := range cluster.Nodes {
			f.reply(from, at(to))
		}
	}
}

// reply asks on a new connection from a node.
func (f *fixture) reply(from kit.Node, address string) kit.Reply {
	f.Helper()
	conn := f.openFrom(from, address)
	defer conn.Close()
	return f.ask(conn)
}
