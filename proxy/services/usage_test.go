package services

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/kube/kubetest"
	"tpa.dev/tpa/proxy/tcp/tcptest"
)

// lease is the pod's.
func (s *ackServer) lease(t *testing.T) *coordinationv1.Lease {
	t.Helper()
	var lease coordinationv1.Lease
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: contract.PodLease("a")}, &lease); err != nil {
		t.Fatal(err)
	}
	return &lease
}

// usageLease is a pod's Lease, and whose connections there are.
type usageLease struct {
	mu     sync.Mutex
	open   int
	err    error
	writes int
	said   string
}

func (l *usageLease) Create(context.Context, *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	return nil, errors.New("the reporter creates no Lease")
}

func (l *usageLease) MergePatch(_ context.Context, ns, name string, patch []byte) (*coordinationv1.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes++
	if l.err != nil {
		return nil, l.err
	}
	var lease coordinationv1.Lease
	if err := json.Unmarshal(patch, &lease); err != nil || ns != namespace || name != contract.PodLease("a") || len(lease.Annotations) != 1 {
		return nil, fmt.Errorf("%s/%s: %s: %w", ns, name, patch, err)
	}
	l.said = lease.Annotations[contract.UsageKey]
	return &lease, nil
}

// set changes how many connections there are, and how writes end; it returns the number of writes so far.
func (l *usageLease) set(open int, err error) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open, l.err = open, err
	return l.writes
}

func (l *usageLease) usage() contract.Usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return usageOf(l.open)
}

func usageOf(open int) contract.Usage {
	if open == 0 {
		return contract.Usage{}
	}
	return contract.Usage{Services: map[string]contract.ServiceUsage{"web": {Open: open, Oldest: []contract.ConnectionUsage{
		{From: "192.0.2.7:4000", Port: 80, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
	}}}}
}

func (l *usageLease) want(t *testing.T, open int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	got, err := contract.ParseUsage(l.said)
	if err != nil {
		t.Fatal(err)
	}
	if got.At.IsZero() {
		t.Error("it does not tell when it was written")
	}
	got.At = time.Time{}
	if diff := cmp.Diff(usageOf(open), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUsageIsWrittenWhenItChangesAndNotTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &usageLease{}
		ctx, stop := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer stop()
		go newReporter(l, zap.NewNop(), Options{Namespace: namespace, Pod: "a"}, l.usage).run(ctx)
		later(time.Hour)
		if n := l.set(1, apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, "x")); n != 0 {
			t.Errorf("%d writes of nothing", n)
		}
		later(contract.UsageEvery) // nothing is acknowledged yet
		before := l.set(1, nil)
		later(contract.UsageEvery)
		l.want(t, 1)
		for open := range 100 { // it changes all the time
			l.set(open+1, nil)
			later(time.Second)
		}
		if n := l.set(100, nil) - before; n > 11 {
			t.Errorf("%d writes in 110 s, want one in 10 s", n)
		}
		later(contract.UsageEvery)
		l.want(t, 100)
		before = l.set(100, nil)
		later(time.Hour)
		if n := l.set(0, errors.New("no")) - before; n != 0 {
			t.Errorf("%d writes although nothing has changed", n)
		}
		later(contract.UsageEvery)
		l.set(0, nil)
		later(contract.UsageEvery)
		l.want(t, 0)
	})
}

// With the first acknowledgement a proxy says that it has no connection, whether its Lease is new or the process before had said
// otherwise; and not with later ones.
func TestUsageBegins(t *testing.T) {
	for _, before := range []bool{false, true} {
		usageBegins(t, before)
	}
}

func usageBegins(t *testing.T, before bool) {
	t.Helper()
	s := newAckServer()
	options := Options{Namespace: namespace, Pod: "a", PodUID: "u"}
	lease := &coordinationv1.Lease{}
	lease.Namespace, lease.Name = namespace, contract.PodLease("a")
	lease.Annotations = map[string]string{contract.UsageKey: "old"}
	if before {
		if err := s.Create(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	}
	a := newAcknowledger(kubetest.Leases(s), zap.NewNop(), options)
	if err := a.write(t.Context(), "{}"); err != nil {
		t.Fatal(err)
	}
	got, err := contract.ParseUsage(s.lease(t).Annotations[contract.UsageKey])
	if err != nil || time.Since(got.At) > time.Minute || len(got.Services) > 0 {
		t.Errorf("it says %+v, %v", got, err)
	}
	done := "{}"
	a.done = &done
	r := newReporter(kubetest.Leases(s), zap.NewNop(), options, func() contract.Usage {
		return contract.Usage{Services: map[string]contract.ServiceUsage{"web": {Open: 1}}}
	})
	if err := r.report(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.write(t.Context(), `{"x":[20001]}`); err != nil {
		t.Fatal(err)
	}
	if got, err = contract.ParseUsage(s.lease(t).Annotations[contract.UsageKey]); err != nil || got.Services["web"].Open != 1 {
		t.Errorf("after another acknowledgement it says %+v, %v", got, err)
	}
}

func TestUsageFitsIntoAnAnnotation(t *testing.T) {
	for services, want := range map[int]struct {
		all, oldest bool
	}{10: {true, true}, 1000: {true, false}, 10_000: {false, false}} {
		u := contract.Usage{Services: map[string]contract.ServiceUsage{}}
		for i := range services {
			s := contract.ServiceUsage{Open: 1_000_000, Held: 1_000_000, Parked: 1_000_000}
			for range contract.MaxUsageConnections {
				s.Oldest = append(s.Oldest, contract.ConnectionUsage{From: "192.0.2.7:40000", Port: 80, Since: time.Now()})
			}
			u.Services[fmt.Sprintf("service-%d", i)] = s
		}
		got := bounded(u)
		if n := len(got.String()); n > maxUsage+100 {
			t.Errorf("%d services: %d bytes", services, n)
		}
		if all := len(got.Services) == services; all != want.all || got.Services["service-0"].Oldest != nil != want.oldest {
			t.Errorf("%d services: %d of them, with connections: %t", services, len(got.Services), got.Services["service-0"].Oldest != nil)
		}
	}
}

func TestUsageOfAConnection(t *testing.T) {
	m, port := server(t), free(t)
	m.serveLocked(Plan{Services: map[types.UID]ServicePlan{
		"x": {Name: "web", Phase: contract.Active, Ports: []PortPlan{{Listen: port, Port: 80}}}, "y": {Name: "db"},
	}})
	if u := m.usage(); u.Services != nil {
		t.Errorf("%+v of nobody", u)
	}
	c := tcptest.Dial(t, tcptest.Loopback(port)) // held: there is no backend
	tcptest.Eventually(t, "it to be held", func() bool { return m.fronts["x"].Stats().Held() == 1 })
	if n := m.accepted(); n != 1 {
		t.Errorf("%d connections were accepted", n)
	}
	u := m.usage()
	if s := u.Services["web"]; len(u.Services) != 1 || s.Held != 1 || s.Open != 0 || len(s.Oldest) != 1 ||
		s.Oldest[0].From != c.LocalAddr().String() || s.Oldest[0].Port != 80 || s.Oldest[0].Since.IsZero() {
		t.Errorf("%+v, want the one that is held", u)
	}
}
