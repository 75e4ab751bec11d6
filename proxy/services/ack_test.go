package services

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/kube/kubetest"
)

func TestAcknowledgementIsMadeAndChanged(t *testing.T) {
	c := fake.NewClientBuilder().Build()
	a := &acknowledger{leases: kubetest.Leases(c), options: Options{Namespace: "shop", Pod: "tpa-proxy-x", PodUID: "u1"}}
	for _, want := range []string{`{"s1":[20001]}`, `{"s1":[20001],"s2":[20002]}`, `{}`} {
		if err := a.write(t.Context(), want); err != nil {
			t.Fatalf("write %s: %v", want, err)
		}
		var lease coordinationv1.Lease
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: contract.PodLease("tpa-proxy-x")}, &lease); err != nil {
			t.Fatal(err)
		}
		if got := lease.Annotations[contract.ListeningKey]; got != want {
			t.Errorf("the lease says %s, want %s", got, want)
		}
		if lease.Labels[contract.LeaseLabel] != contract.LeaseProxy || len(lease.OwnerReferences) != 1 {
			t.Errorf("the lease is not the pod's: labels %v, owners %v", lease.Labels, lease.OwnerReferences)
		}
	}
}

// ackServer counts the writes to the pod's Lease, and may fail them.
type ackServer struct {
	client.Client
	patches, creates int
	fail             func() error // asked before each write
	late             error        // what a write answers although it was carried out
}

func newAckServer() *ackServer {
	s := &ackServer{}
	s.Client = interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		Patch: func(ctx context.Context, w client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			s.patches++
			if s.fail != nil {
				return s.fail()
			}
			if err := w.Patch(ctx, o, p, opts...); err != nil {
				return err
			}
			return s.late
		},
		Create: func(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			s.creates++
			return w.Create(ctx, o, opts...)
		},
	})
	return s
}

// says returns what the Lease holds.
func (s *ackServer) says(t *testing.T) string {
	t.Helper()
	var lease coordinationv1.Lease
	key := client.ObjectKey{Namespace: namespace, Name: contract.PodLease("a")}
	if err := s.Get(t.Context(), key, &lease); err != nil {
		t.Fatal(err)
	}
	return lease.Annotations[contract.ListeningKey]
}

// acknowledging runs an acknowledger against a server, in synctest's time.
func acknowledging(t *testing.T, test func(t *testing.T, s *ackServer, a *acknowledger)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newAckServer()
		a := newAcknowledger(kubetest.Leases(s), zap.NewNop(), Options{Namespace: namespace, Pod: "a", PodUID: "uid-a"})
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); a.run(ctx) }()
		t.Cleanup(func() { stop(); <-ended })
		test(t, s, a)
	})
}

func TestAcknowledgementIsWrittenOnlyWhenItChanges(t *testing.T) {
	acknowledging(t, func(t *testing.T, s *ackServer, a *acknowledger) {
		if err := a.written(); err == nil {
			t.Error("it counts as written before anything was")
		}
		for _, tt := range []struct {
			listening        contract.Listening
			patches, creates int
		}{
			{contract.Listening{}, 1, 1},
			{contract.Listening{}, 1, 1},
			{contract.Listening{"x": {20002, 20001}}, 2, 1},
			{contract.Listening{"x": {20001, 20002}}, 2, 1},
			{contract.Listening{}, 3, 1},
		} {
			a.set(tt.listening)
			synctest.Wait()
			if s.patches != tt.patches || s.creates != tt.creates {
				t.Errorf("%d patches and %d creations, want %d and %d", s.patches, s.creates, tt.patches, tt.creates)
			}
			if got := s.says(t); got != tt.listening.String() {
				t.Errorf("the Lease says %s, want %s", got, tt.listening)
			}
			if err := a.written(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAcknowledgementThatFailsIsTriedAgainWithWhatIsThenWanted(t *testing.T) {
	acknowledging(t, func(t *testing.T, s *ackServer, a *acknowledger) {
		s.fail = func() error { return errors.New("connection refused") }
		a.set(contract.Listening{"x": {20001}})
		time.Sleep(10*retryAfter + retryAfter/2)
		synctest.Wait()
		if s.patches != 11 || a.written() == nil {
			t.Errorf("%d attempts, written: %v, want 11 and not written", s.patches, a.written())
		}
		s.fail = nil
		a.mu.Lock()
		a.wanted = contract.Listening{"x": {20002}}.String()
		a.mu.Unlock()
		time.Sleep(retryAfter)
		synctest.Wait()
		if got := s.says(t); got != `{"x":[20002]}` || a.written() != nil {
			t.Errorf("the Lease says %s, written: %v", got, a.written())
		}
	})
}

// A write whose answer is lost may have been carried out. What was acknowledged before it must then be written again.
func TestAcknowledgementIsNotLeftInDoubt(t *testing.T) {
	acknowledging(t, func(t *testing.T, s *ackServer, a *acknowledger) {
		before, after := contract.Listening{"x": {20001}}, contract.Listening{"x": {20001, 20002}}
		a.set(before)
		synctest.Wait()
		s.late = context.DeadlineExceeded
		a.set(after)
		synctest.Wait()
		s.late = nil
		if err := a.written(); err != nil {
			t.Errorf("%v, but something is acknowledged", err)
		}
		a.set(before)
		synctest.Wait()
		if got := s.says(t); got != before.String() {
			t.Errorf("the Lease says %s, want %s", got, before)
		}
		time.Sleep(time.Minute)
	})
}
