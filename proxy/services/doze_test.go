package services

import (
	"net/netip"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// A plan that was made before a target left Awake may be carried out afterwards, when the target may be awake again and
// the gate open. What was ready before that is not called then.
func TestPlanFromBeforeADozeFillsNoPool(t *testing.T) {
	m, listen := server(t), free(t)
	m.options.MaxConnections, m.options.Descriptors = 10, 1000
	m.budget.SetMax(m.options.MaxHeld) // who finds no backend is held
	backend, address := tcptest.Listen(t)
	sp := ServicePlan{Name: "web", Phase: contract.Active, Ports: []PortPlan{{Listen: listen, Backends: []netip.AddrPort{address}}}}
	m.serveLocked(Plan{Services: map[types.UID]ServicePlan{"x": sp}}) // without a gate: everybody passes
	sp.Gate = []contract.Target{web}
	m.setPools(Plan{Services: map[types.UID]ServicePlan{"x": sp}})
	called := func() bool {
		t.Helper()
		client := tcptest.Dial(t, tcptest.Loopback(listen))
		defer client.Close()
		_ = backend.SetDeadline(time.Now().Add(200 * time.Millisecond))
		conn, err := backend.Accept()
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	look := func() (w World) { m.look(&w, time.Now()); return w }

	before := look()
	if !m.pools.fill(m.fronts["x"], sp, before.Dozes) || !called() {
		t.Fatal("the backend is not called")
	}
	m.pools.doze(web)
	if called() {
		t.Error("the backend is called after the doze")
	}
	if m.pools.fill(m.fronts["x"], sp, before.Dozes) || called() {
		t.Error("the backend of a plan from before the doze is called")
	}
	if !m.pools.fill(m.fronts["x"], sp, look().Dozes) || !called() {
		t.Error("the backend of a plan from after the doze is not called")
	}
}
