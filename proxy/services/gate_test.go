package services

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/kube/kubetest"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/proxy/target"
)

var from = front.Client{Addr: netip.MustParseAddrPort("192.0.2.7:40000"), Port: 80}

// keepers returns a Keeper for each target; that of the target in closed does not run and so never wins the claim.
func keepers(t *testing.T, c client.Client, closed string) (both []*target.Keeper) {
	t.Helper()
	for _, of := range []contract.Target{web, db} {
		k := target.New(target.Config{
			Namespace: namespace, Target: of, Pod: "a", Process: "a/1", Store: &target.Store{Leases: kubetest.Leases(c)}, Log: zap.NewNop(),
			Gone: func([]string) []string { return nil },
		})
		k.SetUse(target.Use{IdleTimeout: time.Hour, Blocked: "there is no scale here"})
		k.SetReady(1, time.Now())
		both = append(both, k)
		if of.Name == closed {
			continue
		}
		ended := make(chan struct{})
		ctx, stop := context.WithCancel(context.Background())
		go func() { defer close(ended); k.Run(ctx) }()
		t.Cleanup(func() { stop(); <-ended })
	}
	synctest.Wait()
	return both
}

// inUse reports whether the target's Lease shows that a connection uses it, after a time in which an idle claim is given up.
func inUse(t *testing.T, c client.Client, of contract.Target) bool {
	t.Helper()
	time.Sleep(time.Hour)
	synctest.Wait()
	var lease coordinationv1.Lease
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: of.Lease()}, &lease); err != nil {
		t.Fatal(err)
	}
	state, err := sleep.Parse(lease.Annotations[contract.StateKey])
	if err != nil {
		t.Fatal(err)
	}
	claim, ok := state.Claims["a"]
	return ok && claim.Active()
}

func TestGateOfSeveralTargetsClaimsAndReleasesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake.NewClientBuilder().Build()
		gate := newGate("web", keepers(t, c, ""))
		if err := gate.Acquire(t.Context(), from); err != nil {
			t.Fatal(err)
		}
		if !gate.Awake() || !gate.TryAcquire() {
			t.Error("it is claimed, and not awake or not open")
		}
		gate.Release(time.Now())
		if !inUse(t, c, web) || !inUse(t, c, db) {
			t.Error("a target is not in use with a connection inside")
		}
		gate.Release(time.Now())
		if inUse(t, c, web) || inUse(t, c, db) {
			t.Error("a target is in use after the last connection")
		}
	})
}

func TestGateOfSeveralTargetsGivesBackWhatItGotOnFailure(t *testing.T) {
	for _, closed := range []string{"web", "db"} {
		t.Run(closed, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := fake.NewClientBuilder().Build()
				opened := web
				if closed == "web" {
					opened = db
				}
				gate := newGate("web", keepers(t, c, closed))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := gate.Acquire(ctx, from); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("%v, want the deadline", err)
				}
				if gate.TryAcquire() || gate.Awake() {
					t.Error("it lets in, or is awake, with one target that is neither")
				}
				if inUse(t, c, opened) {
					t.Error("what was acquired before the failure is not given back")
				}
			})
		})
	}
}

// handing is a Manager as far as gates need it.
func handing(t *testing.T, both []*target.Keeper) *Manager {
	m := &Manager{gates: map[types.UID][]*gate{}, targets: map[contract.Target]*target.Keeper{web: both[0], db: both[1]}}
	m.keeping, m.stopKeeping = context.WithCancel(context.Background())
	t.Cleanup(func() {
		m.stopKeeping()
		m.keepers.Wait()
	})
	return m
}

// TestConnectionsOfAnEarlierGateAreCounted: when a Service gets another target, with pods that may be the same, that one
// must not sleep under the connections that were made before.
func TestConnectionsOfAnEarlierGateAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake.NewClientBuilder().Build()
		both := keepers(t, c, "")
		m := handing(t, both)
		change := func(to ...contract.Target) front.Target {
			has := m.gateFor("x", "web", to)
			m.closeGates("x", has)
			synctest.Wait()
			return has
		}
		first := change(web)
		if change(web) != first {
			t.Fatal("another gate of the same target")
		}
		if err := first.Acquire(t.Context(), from); err != nil {
			t.Fatal(err)
		}
		second := change(db)
		if first.TryAcquire() {
			t.Error("the earlier gate lets in")
		}
		if err := first.Acquire(t.Context(), from); !errors.Is(err, front.ErrRetired) {
			t.Errorf("the earlier gate: %v, want %v", err, front.ErrRetired)
		}
		if !inUse(t, c, db) || !inUse(t, c, web) {
			t.Error("a connection of before the change is not counted")
		}
		change() // somebody else keeps the target awake meanwhile
		if inUse(t, c, db) != true {
			t.Error("not counted by the target that it was handed to")
		}
		third := change(web, db)
		first.Release(time.Now())
		synctest.Wait()
		if inUse(t, c, web) || inUse(t, c, db) {
			t.Error("in use after the last connection")
		}
		if third == second || change(web, db) != third || len(m.gates["x"]) != 1 {
			t.Errorf("%d gates are left, want the last", len(m.gates["x"]))
		}
	})
}

// TestConnectionThatEndsDuringAHandoverIsForgotten: nobody waits on for a target that cannot be claimed.
func TestConnectionThatEndsDuringAHandoverIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake.NewClientBuilder().Build()
		both := keepers(t, c, "db")
		m := handing(t, both)
		first := m.gateFor("x", "web", []contract.Target{web})
		m.closeGates("x", first)
		if err := first.Acquire(t.Context(), from); err != nil {
			t.Fatal(err)
		}
		m.closeGates("x", m.gateFor("x", "web", []contract.Target{db}))
		synctest.Wait()
		first.Release(time.Now())
		m.keepers.Wait()
	})
}

func TestGateOfNoTargetIsOpen(t *testing.T) {
	if got := (&Manager{}).gateFor("x", "web", nil); got != (front.Open{}) {
		t.Errorf("%T", got)
	}
}

// leftAwake has a Keeper learn that its target sleeps, as if another proxy had put it to sleep.
func leftAwake(t *testing.T, c client.Client, of contract.Target, k *target.Keeper) {
	t.Helper()
	var lease coordinationv1.Lease
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: of.Lease()}, &lease); err != nil {
		t.Fatal(err)
	}
	state, err := sleep.Parse(lease.Annotations[contract.StateKey])
	if err != nil {
		t.Fatal(err)
	}
	state.Phase, state.By, state.Claims, state.Seq = sleep.Sleeping, "another/1", nil, state.Seq+1
	lease.Annotations[contract.StateKey] = state.String()
	if err := c.Update(t.Context(), &lease); err != nil {
		t.Fatal(err)
	}
	k.Observe(&lease)
	synctest.Wait()
}

func TestGateOfSeveralTargetsParksWithAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake.NewClientBuilder().Build()
		gate := newGate("web", keepers(t, c, ""))
		if err := gate.Acquire(t.Context(), from); err != nil {
			t.Fatal(err)
		}
		p := gate.Park(time.Now(), func() { t.Error("told to end") })
		if !p.TryReturn() { // the claims are still there
			t.Fatal("it cannot return")
		}
		p = gate.Park(time.Now(), func() { t.Error("told to end") })
		if inUse(t, c, web) || inUse(t, c, db) {
			t.Error("a target is in use with nobody but a parked connection")
		}
		if p.TryReturn() {
			t.Error("it returned without a claim")
		}
		if err := p.Return(t.Context(), from.Addr); err != nil || !inUse(t, c, web) || !inUse(t, c, db) {
			t.Errorf("%v, or a target is not in use after the return", err)
		}
		gate.Release(time.Now())
	})
}

// Any of several targets ends what is parked with all, and what has returned to the others by then is parked there again.
func TestGateOfSeveralTargetsEndsWhatIsParkedWithAny(t *testing.T) {
	for i, of := range []contract.Target{web, db} {
		t.Run(of.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := fake.NewClientBuilder().Build()
				both := keepers(t, c, "")
				gate := newGate("web", both)
				if err := gate.Acquire(t.Context(), from); err != nil {
					t.Fatal(err)
				}
				ended := 0
				p := gate.Park(time.Now(), func() { ended++ })
				leftAwake(t, c, of, both[i])
				if ended != 1 || p.TryReturn() {
					t.Errorf("told to end %d times, want once, and it may not return", ended)
				}
				if err := p.Return(t.Context(), from.Addr); !errors.Is(err, front.ErrDozed) {
					t.Errorf("%v, want %v", err, front.ErrDozed)
				}
				p.Leave()
				other := both[1-i]
				other.Retire()
				synctest.Wait()
				if other.SetUse(target.Use{}) {
					t.Error("the other target is kept for a connection that has ended")
				}
			})
		})
	}
}

// Who is parked is not inside the gate, and comes back to the Service's next one.
func TestParkedConnectionIsNoneOfAnEarlierGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake.NewClientBuilder().Build()
		m := handing(t, keepers(t, c, ""))
		first := m.gateFor("x", "web", []contract.Target{web})
		m.closeGates("x", first)
		if err := first.Acquire(t.Context(), from); err != nil {
			t.Fatal(err)
		}
		p := first.Park(time.Now(), func() { t.Error("told to end") })
		m.closeGates("x", m.gateFor("x", "web", []contract.Target{db}))
		synctest.Wait()
		if p.TryReturn() {
			t.Error("it came back through the earlier gate")
		}
		if err := p.Return(t.Context(), from.Addr); !errors.Is(err, front.ErrRetired) {
			t.Errorf("%v, want %v", err, front.ErrRetired)
		}
		p.Leave()
		if inUse(t, c, web) || inUse(t, c, db) || len(m.gates["x"]) != 1 {
			t.Errorf("a target is in use, or one of %d gates is an earlier one", len(m.gates["x"]))
		}
	})
}
