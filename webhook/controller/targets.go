package controller

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/target"
)

// Targets is what the controller needs done about targets. Each call may be repeated, by another process too; see
// target.Steward.
type Targets interface {
	// Hold keeps the target awake on the controller's behalf, scaling it up if TPA put it to sleep. It fails while the
	// target is just falling asleep.
	Hold(ctx context.Context, namespace string, t contract.Target) (HoldState, error)
	// Release ends a Hold.
	Release(ctx context.Context, namespace string, t contract.Target) error
	// Settle keeps the target from sleeping before a time.
	Settle(ctx context.Context, namespace string, t contract.Target, until time.Time) error
	// Forget restores the replicas of a target that TPA put to sleep and deletes its Lease.
	Forget(ctx context.Context, namespace string, t contract.Target) error
	// Held reports whether a target's Lease shows a Hold that was not released, whichever process made it.
	Held(lease *coordinationv1.Lease) bool
}

// HoldState is how a target stands that is held.
type HoldState = target.HoldState
