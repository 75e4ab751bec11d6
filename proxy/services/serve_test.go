package services

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/target"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// server is a Manager as far as serve needs it.
func server(t *testing.T) *Manager {
	t.Helper()
	options := Options{Namespace: namespace, MaxHeld: 10, Loops: tcptest.Loops(t, 1)}
	m := &Manager{
		options: options, log: zap.NewNop(), metrics: newMetrics(namespace), kick: make(chan struct{}, 1),
		ack:    newAcknowledger(nil, zap.NewNop(), options),
		fronts: map[types.UID]*front.Service{}, names: map[types.UID]string{},
		gates: map[types.UID][]*gate{}, targets: map[contract.Target]*target.Keeper{}, problems: map[types.UID]string{},
	}
	m.keeping, m.stopKeeping = context.WithCancel(context.Background())
	t.Cleanup(func() {
		m.mu.Lock()
		m.serve(Plan{})
		m.mu.Unlock()
		m.drains.Wait()
		m.stopKeeping()
	})
	return m
}

// taken returns a port that is in use, and a function that frees it.
func taken(t *testing.T) (uint16, func()) {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return uint16(l.Addr().(*net.TCPAddr).Port), func() { _ = l.Close() }
}

func free(t *testing.T) uint16 {
	t.Helper()
	port, release := taken(t)
	release()
	return port
}

func (m *Manager) serveLocked(plan Plan) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serve(plan)
}

func TestPortsThatLingerAreOpenAndNotAcknowledged(t *testing.T) {
	m, own, lingers := server(t), free(t), free(t)
	m.serveLocked(Plan{Services: map[types.UID]ServicePlan{"x": {
		Name: "web", Phase: contract.Active, Ports: []PortPlan{{Listen: own}, {Listen: lingers, Lingers: true}},
	}}})
	if got, want := m.ack.wanted, (contract.Listening{"x": {int32(own)}}).String(); got != want {
		t.Errorf("acknowledged %s, want %s", got, want)
	}
	if got := m.fronts["x"].Listening(); len(got) != 2 {
		t.Errorf("listening on %v, want both ports", got)
	}
}

func TestPortThatCannotBeOpenedIsNeitherAcknowledgedNorReady(t *testing.T) {
	m := server(t)
	port, release := taken(t)
	for _, tt := range []struct {
		phase contract.Phase
		ready bool
	}{{contract.Pending, true}, {contract.Active, false}, {contract.Restoring, false}} {
		plan := Plan{Services: map[types.UID]ServicePlan{"x": {Name: "web", Phase: tt.phase, Ports: []PortPlan{{Listen: port}}}}}
		m.serveLocked(plan)
		if m.ack.wanted != "{}" || (m.notReady == nil) != tt.ready {
			t.Errorf("%s: acknowledged %s, not ready: %v, want nothing acknowledged and ready %t", tt.phase, m.ack.wanted, m.notReady, tt.ready)
		}
	}
	release()
	m.serveLocked(Plan{Services: map[types.UID]ServicePlan{"x": {Name: "web", Phase: contract.Active, Ports: []PortPlan{{Listen: port}}}}})
	if m.notReady != nil || m.ack.wanted == "{}" {
		t.Errorf("once it is free: acknowledged %s, not ready: %v", m.ack.wanted, m.notReady)
	}
}

func TestServiceThatIsServedNoMoreIsClosed(t *testing.T) {
	m, port := server(t), free(t)
	m.serveLocked(Plan{Services: map[types.UID]ServicePlan{"x": {Name: "web", Ports: []PortPlan{{Listen: port}}}}})
	m.serveLocked(Plan{})
	m.drains.Wait()
	if len(m.fronts) != 0 || len(m.names) != 0 || m.ack.wanted != "{}" {
		t.Errorf("fronts %v, acknowledged %s, want nothing left", m.fronts, m.ack.wanted)
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: int(port)})
	if err != nil {
		t.Fatalf("the port is still open: %v", err)
	}
	_ = l.Close()
}

func TestMetricsAreWellFormedAndNameTheService(t *testing.T) {
	m := server(t)
	m.serveLocked(Plan{Services: map[types.UID]ServicePlan{"x": {Name: "web"}}})
	m.metrics.slept(web, target.NoConnections)
	m.metrics.woken(web, contract.WakeReady, time.Second)
	m.metrics.woke(web)
	m.metrics.held("web", 0, front.Relayed)
	m.metrics.stage(web, target.Decide, time.Second)
	m.metrics.stage(web, target.Dial, time.Second)
	problems, err := testutil.CollectAndLint(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	if got, want := testutil.CollectAndCount(m, "tpa_connections_total"), len(front.Outcomes()); got != want {
		t.Errorf("%d series of tpa_connections_total, want one for each of %d outcomes", got, want)
	}
	if got := testutil.CollectAndCount(m, "tpa_sleeps_total", "tpa_wakes_total", "tpa_connections_active"); got != 3 {
		t.Errorf("%d series, want 3", got)
	}
	if got := testutil.CollectAndCount(m, "tpa_wake_stage_seconds"); got != 2 {
		t.Errorf("%d series of tpa_wake_stage_seconds, want one for each stage", got)
	}
	m.metrics.forgetTarget(web)
	if got := testutil.CollectAndCount(m, "tpa_wake_stage_seconds"); got != 0 {
		t.Errorf("%d series of tpa_wake_stage_seconds of a target that is kept no more", got)
	}
}
