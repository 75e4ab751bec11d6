package controller

import (
	"context"
	"errors"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
)

// heldKey marks a fake target's Lease.
const heldKey = contract.Prefix + "test-held"

// fakeTargets keeps targets whose workload is a pod of the same name.
type fakeTargets struct {
	k *kit
	// asleep are the replicas that TPA owes each target that it put to sleep.
	asleep map[string]int
	// zero are the targets that a person scaled to zero, missing those that do not exist, busy those falling asleep.
	zero, missing, busy map[string]bool
	// slow wakes without a pod getting ready.
	slow    bool
	settled map[string]time.Time
}

// manage gives a target its Lease, as the first proxy does.
func (f *fakeTargets) manage(name string) {
	t := deployed(name)
	f.k.must(f.k.raw.Create(f.k.t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: shop, Name: t.Lease(),
		Labels:      map[string]string{contract.LeaseLabel: contract.LeaseTarget},
		Annotations: map[string]string{contract.TargetKey: t.String()},
	}}))
}

// sleep puts a target to sleep, as the proxies do.
func (f *fakeTargets) sleep(name string) {
	f.asleep[name] = 1
	f.k.must(client.IgnoreNotFound(f.k.raw.Delete(f.k.t.Context(), pod(name))))
}

func (f *fakeTargets) wake(name string) {
	if f.asleep[name] > 0 && !f.slow {
		f.k.must(f.k.raw.Create(f.k.t.Context(), pod(name)))
	}
	delete(f.asleep, name)
}

func (f *fakeTargets) lease(t contract.Target) *coordinationv1.Lease {
	l := &coordinationv1.Lease{}
	if !f.k.exists(l, t.Lease()) {
		return nil
	}
	return l
}

func (f *fakeTargets) Hold(ctx context.Context, _ string, t contract.Target) (HoldState, error) {
	switch l := f.lease(t); {
	case f.missing[t.Name]:
		return HoldState{}, nil
	case f.zero[t.Name]:
		return HoldState{Found: true, Asleep: true}, nil
	case f.busy[t.Name]:
		return HoldState{}, errors.New("target is falling asleep")
	case l == nil:
		return HoldState{Found: true}, nil
	case l.Annotations[heldKey] == "" || f.asleep[t.Name] > 0:
		return HoldState{Found: true}, f.k.write(func() error {
			l.Annotations[heldKey] = "true"
			f.wake(t.Name)
			return f.k.raw.Update(ctx, l)
		})
	}
	return HoldState{Found: true}, nil
}

func (f *fakeTargets) Release(ctx context.Context, _ string, t contract.Target) error {
	l := f.lease(t)
	if l == nil || l.Annotations[heldKey] == "" {
		return nil
	}
	return f.k.write(func() error {
		delete(l.Annotations, heldKey)
		return f.k.raw.Update(ctx, l)
	})
}

func (f *fakeTargets) Settle(_ context.Context, _ string, t contract.Target, until time.Time) error {
	return f.k.write(func() error {
		f.settled[t.Name] = until
		return nil
	})
}

func (f *fakeTargets) Forget(ctx context.Context, _ string, t contract.Target) error {
	l := f.lease(t)
	if l == nil {
		return nil
	}
	return f.k.write(func() error {
		f.wake(t.Name)
		return f.k.raw.Delete(ctx, l)
	})
}

func (f *fakeTargets) Held(lease *coordinationv1.Lease) bool { return lease.Annotations[heldKey] != "" }
