package services

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/kube/kubetest"
	"tpa.dev/tpa/proxy/target"
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

// oneScale is the scale of the only target.
type oneScale struct {
	mu       sync.Mutex
	replicas int32
}

func (s *oneScale) Get(context.Context, string, schema.GroupResource, string) (*autoscalingv1.Scale, error) {
	return &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: s.set(-1)}}, nil
}

func (s *oneScale) Update(_ context.Context, _ schema.GroupResource, scale *autoscalingv1.Scale, _ string) (*autoscalingv1.Scale, error) {
	s.set(scale.Spec.Replicas)
	return scale, nil
}

// set changes the replicas, unless they are to be -1, and returns them.
func (s *oneScale) set(replicas int32) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if replicas >= 0 {
		s.replicas = replicas
	}
	return s.replicas
}

// TestConnectionWithoutABackendWakesWhatIsAtZeroByHand: the target is in use, and so nobody had to claim it. Its keeper is told
// of who waits, and does not look by itself; also if the Service was led to that target with the connection already waiting.
func TestConnectionWithoutABackendWakesWhatIsAtZeroByHand(t *testing.T) {
	for name, led := range map[string]bool{"through its Service": true, "before the Service was led there": false} {
		t.Run(name, func(t *testing.T) {
			m, listen := server(t), free(t)
			m.options.MaxConnections, m.options.Descriptors = 10, 1000
			m.budget.SetMax(m.options.MaxHeld)
			scale, asked := &oneScale{replicas: 1}, &atomic.Int64{}
			k := target.New(target.Config{
				Namespace: namespace, Target: web, Pod: "a", Process: "a/1", Log: zap.NewNop(),
				Store: &target.Store{Leases: kubetest.Leases(fake.NewClientBuilder().Build()), Scales: scale},
				Gone:  func([]string) []string { return nil },
				Held:  func() bool { asked.Add(1); return m.pools.wait(web) },
			})
			k.SetUse(target.Use{IdleTimeout: time.Hour})
			k.SetReady(1, time.Now())
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() { defer close(ended); k.Run(ctx) }()
			t.Cleanup(func() { stop(); <-ended })

			sp := ServicePlan{Name: "web", Phase: contract.Active, Ports: []PortPlan{{Listen: listen}}}
			serve := func(gate ...contract.Target) {
				sp.Gate = gate
				m.serveLocked(Plan{Services: map[types.UID]ServicePlan{"x": sp}})
			}
			m.mu.Lock()
			m.targets[web] = k
			m.mu.Unlock()
			serve(web)
			if err := k.Acquire(t.Context(), target.Source{Service: "web"}); err != nil {
				t.Fatal(err)
			}
			defer k.Release(time.Now())
			if !led {
				serve()
			}
			scale.set(0)
			looks := asked.Load()
			k.SetReady(0, time.Time{})
			tcptest.Eventually(t, "the keeper has looked", func() bool { return asked.Load() > looks })
			client := tcptest.Dial(t, tcptest.Loopback(listen))
			defer client.Close()
			if !led {
				tcptest.Eventually(t, "the connection is held", func() bool { return m.fronts["x"].Stats().Held() == 1 })
				serve(web)
			}
			tcptest.Eventually(t, "the target is scaled up", func() bool { return scale.set(-1) == 1 })
		})
	}
}
