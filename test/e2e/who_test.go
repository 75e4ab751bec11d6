//go:build e2e

package e2e

import (
	"net"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// TestWho is about whose connections wake a target and keep it awake.
func TestWho(t *testing.T) {
	t.Run("data", testWakeOnData)
	t.Run("passive", testPassivePort)
	t.Run("ignored", testIgnoredSource)
}

// atOnceRefused is how soon somebody who may not wait must know.
const atOnceRefused = 2 * time.Second

// refusedFrom connects from a node and must soon be told that it is of no use.
func (f *fixture) refusedFrom(node kit.Node, address string) {
	f.Helper()
	start := time.Now()
	conn, err := node.Open(f.ctx, address)
	if err == nil {
		defer conn.Close()
		_, err = conn.Ask(answerWithin)
	}
	if err == nil || kit.KindOf(err) != kit.Reset || time.Since(start) > atOnceRefused {
		f.Errorf("%s from %s: %v after %s, want a reset within %s", address, node.Name, err, time.Since(start), atOnceRefused)
	}
}

// testWakeOnData: who only connects does not wake, and has a place for no longer than wake-timeout; who then says something,
// does, and all of it arrives.
func testWakeOnData(t *testing.T) {
	t.Parallel()
	const patient = 8 * time.Second
	f := setUp(t)
	app := f.app("web", 1)
	s := f.startWith(app.Deployment(), app.Service(with(with(managed("web", idle),
		contract.WakeOnKey, "data"), contract.WakeTimeoutKey, patient.String())))
	f.asleep("web")
	trail := f.followDeployment("web")
	start := time.Now()
	leaves, silent := f.open(address(s, 80)), f.open(address(s, 80))
	leaves.Close()
	f.must(silent.SetReadDeadline(time.Now().Add(2 * patient)))
	_, err := silent.Read(make([]byte, 1))
	if kit.KindOf(err) != kit.Reset || time.Since(start) < patient {
		t.Errorf("silence ended after %s: %v; want a reset after %s", time.Since(start), err, patient)
	}
	f.nobodyHeld("web")
	if n := f.ended("web", "no_data"); n != 1 {
		t.Errorf("%g connections are counted as no_data", n)
	}
	if got := scalings(trail.Since(0)); len(got) != 1 {
		t.Errorf("replicas went %v while nothing was said", got)
	}

	late := f.open(address(s, 80))
	f.must(trail.Never(f.ctx, time.Second, "woken by a connection without a byte", 0, atWork))
	f.must(late.Echo(answerWithin, "the first byte and all others"))
	f.ready("web", 1)
	if n := f.counts("web"); n != 1 {
		t.Errorf("the app got %d requests, 1 was sent", n)
	}
}

// testPassivePort: a port that metrics are read from neither wakes nor keeps awake.
func testPassivePort(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	app := f.app("web", 1)
	service := app.Service(with(managed("web", idle), contract.PassivePortsKey, "metrics"))
	service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: "metrics", Port: 81, TargetPort: intstr.FromInt32(8081)})
	s := f.startWith(app.Deployment(), service)
	f.withoutWaking(address(s, 80), address(s, 81), f.near, f.near, func() float64 { return f.ended("web", "refused_asleep") })
}

// testIgnoredSource: the same by who calls.
func testIgnoredSource(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	app := f.app("web", 1)
	s := f.startWith(app.Deployment(), app.Service(with(managed("web", idle), contract.IgnoreSourcesKey, f.far.IP+"/32")))
	near, far := f.near, f.far
	near.Source, far.Source = near.IP, far.IP
	// At the proxy itself, so that no node translates addresses on the way.
	at := net.JoinHostPort(f.proxies()[0].Status.PodIP, s.Spec.Ports[0].TargetPort.String())
	f.withoutWaking(at, at, near, far, func() float64 { return f.ended("web", "refused_asleep") })
}

// withoutWaking calls web, which sleeps, at the second address from the second node, where that must neither wake nor count,
// and at the first from the first.
func (f *fixture) withoutWaking(first, second string, counts, ignored kit.Node, refused func() float64) {
	f.Helper()
	f.asleep("web")
	trail := f.followDeployment("web")
	before := refused()
	for range 3 {
		f.refusedFrom(ignored, second)
	}
	if n := refused() - before; n != 3 {
		f.Errorf("%g refusals are counted, want 3", n)
	}
	f.must(trail.Never(f.ctx, time.Second, "woken", 0, atWork))

	conn := f.openFrom(counts, first)
	f.ask(conn)
	from := f.woken(trail, 0)
	other := f.openFrom(ignored, second)
	f.ask(other)
	end := time.Now()
	conn.Close()
	f.sleepsInTime(trail, from, idle, end) // although the other is open
}
