// Package target keeps targets asleep and awake on a real API server: it carries out what package sleep decides.
//
// A Keeper is one proxy's part for one target: it is what connections acquire before they are dialed (the data path's
// front.Target), and the goroutine that reads and writes the target's Lease and scale. A Steward does for the controller
// what it needs of targets: keep one awake while its Service is restored, let one settle, forget one.
package target

import (
	"context"
	"errors"
	"fmt"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/kube"
	"tpa.dev/tpa/proxy/sleep"
)

// Store reads and changes the Leases and scales of targets, always at the API server and never from a cache.
type Store struct {
	Leases Leases
	Scales Scales
}

// Leases are those of all namespaces; kube.Client's are some.
type Leases interface {
	Get(ctx context.Context, namespace, name string) (*coordinationv1.Lease, error)
	Create(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error)
	Update(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error)
	Delete(ctx context.Context, namespace, name, resourceVersion string) error
}

// Scales are those of all namespaces and kinds; kube.Client's are some.
type Scales interface {
	Get(ctx context.Context, namespace string, of schema.GroupResource, name string) (*autoscalingv1.Scale, error)
	Update(ctx context.Context, of schema.GroupResource, scale *autoscalingv1.Scale, manager string) (*autoscalingv1.Scale, error)
}

// NewStore returns a Store that talks to the API server of a configuration.
func NewStore(config *rest.Config) (*Store, error) {
	c, err := kube.New(config)
	if err != nil {
		return nil, err
	}
	return &Store{Leases: c.Leases, Scales: c.Scales}, nil
}

// record is a target's Lease as last read or written; the zero value is a Lease that does not exist.
type record struct {
	version string
	uid     types.UID
	state   sleep.State
	history contract.History
}

func (r record) exists() bool { return r.version != "" }

// recordOf reads a target's Lease. A state that cannot be read counts as a target that was just taken over: awake,
// unclaimed, idle from now, so that damage costs a full idle time and nothing else. A history that cannot be read begins anew.
func recordOf(lease *coordinationv1.Lease, now time.Time) record {
	state, err := sleep.Parse(lease.Annotations[contract.StateKey])
	if err != nil {
		state = sleep.State{Phase: sleep.Awake, Since: now}
	}
	history, _ := contract.ParseHistory(lease.Annotations[contract.HistoryKey])
	return record{version: lease.ResourceVersion, uid: lease.UID, state: state, history: history}
}

func (s *Store) read(ctx context.Context, namespace string, t contract.Target) (record, error) {
	lease, err := s.Leases.Get(ctx, namespace, t.Lease())
	if apierrors.IsNotFound(err) {
		return record{}, nil
	}
	if err != nil {
		return record{}, fmt.Errorf("read lease %s/%s: %w", namespace, t.Lease(), err)
	}
	return recordOf(lease, now()), nil
}

// swap writes a state, and what that makes of the history, if the Lease is still as it was read, and returns the Lease as
// written. Without the UID, the API
// server would make a Lease that was deleted meanwhile anew, with what an old version said.
func (s *Store) swap(ctx context.Context, namespace string, t contract.Target, was record, state sleep.State) (record, error) {
	return s.write(ctx, namespace, t, was, record{state: state, history: was.following(state)})
}

// write writes a state and a history, as swap does.
func (s *Store) write(ctx context.Context, namespace string, t contract.Target, was, is record) (record, error) {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: t.Lease(), ResourceVersion: was.version, UID: was.uid,
		Labels:      map[string]string{contract.LeaseLabel: contract.LeaseTarget},
		Annotations: map[string]string{contract.TargetKey: t.String(), contract.StateKey: is.state.String()},
	}}
	if is.history != (contract.History{}) {
		lease.Annotations[contract.HistoryKey] = is.history.String()
	}
	write := s.Leases.Update
	if !was.exists() {
		write = s.Leases.Create
	}
	written, err := write(ctx, lease)
	if err != nil {
		return record{}, fmt.Errorf("write lease %s/%s: %w", namespace, t.Lease(), err)
	}
	is.version, is.uid = written.ResourceVersion, written.UID
	return is, nil
}

func (s *Store) remove(ctx context.Context, namespace string, t contract.Target, was record) error {
	err := s.Leases.Delete(ctx, namespace, t.Lease(), was.version)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete lease %s/%s: %w", namespace, t.Lease(), err)
	}
	return nil
}

// workload is what the scale says of a target besides.
type workload struct {
	uid      types.UID
	selector string // of its pods
}

// scale reads a target's scale.
func (s *Store) scale(ctx context.Context, namespace string, t contract.Target) (sleep.Scale, workload, error) {
	got, err := s.Scales.Get(ctx, namespace, t.GroupResource(), t.Name)
	if err != nil {
		return sleep.Scale{}, workload{}, fmt.Errorf("read scale of %s in %s: %w", t, namespace, err)
	}
	return sleep.Scale{Replicas: got.Spec.Replicas, ResourceVersion: got.ResourceVersion}, workload{got.UID, got.Status.Selector}, nil
}

// setScale writes the replicas of a target that is still at the resourceVersion of the scale.
func (s *Store) setScale(ctx context.Context, namespace string, t contract.Target, at sleep.Scale, replicas int32) (sleep.Scale, error) {
	got, err := s.Scales.Update(ctx, t.GroupResource(), &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: t.Name, ResourceVersion: at.ResourceVersion},
		Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
	}, contract.FieldManager)
	if err != nil {
		return sleep.Scale{}, fmt.Errorf("scale %s in %s to %d: %w", t, namespace, replicas, err)
	}
	return sleep.Scale{Replicas: got.Spec.Replicas, ResourceVersion: got.ResourceVersion}, nil
}

// outcome classifies the end of a call by whether it was, or may yet be, carried out. Only answers that the API server
// gives before it writes count as not carried out.
func outcome(err error) sleep.Outcome {
	switch {
	case err == nil:
		return sleep.OK
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return sleep.Conflict
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err), apierrors.IsUnauthorized(err), apierrors.IsInvalid(err),
		apierrors.IsBadRequest(err), apierrors.IsMethodNotSupported(err), meta.IsNoMatchError(err):
		return sleep.Refused
	}
	return sleep.Unknown
}

// unreachable reports whether a call failed because the API server did not answer.
func unreachable(err error) bool {
	var status apierrors.APIStatus
	return err != nil && !errors.As(err, &status) && !meta.IsNoMatchError(err)
}
