package services

import (
	"context"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/target"
)

// gateFor returns what a connection acquires for several targets: all of them, woken at the same time.
func gateFor(keepers []*target.Keeper) front.Target {
	switch len(keepers) {
	case 0:
		return front.Open{}
	case 1:
		return keepers[0]
	}
	return all(keepers)
}

// all is several targets that sleep and wake together.
type all []*target.Keeper

// Acquire implements front.Target.
func (a all) Acquire(ctx context.Context, client netip.AddrPort) error {
	acquired := make([]bool, len(a))
	group, ctx := errgroup.WithContext(ctx)
	for i, k := range a {
		group.Go(func() error {
			err := k.Acquire(ctx, client)
			acquired[i] = err == nil
			return err
		})
	}
	err := group.Wait()
	if err != nil {
		for i, k := range a {
			if acquired[i] {
				k.Release()
			}
		}
	}
	return err
}

// TryAcquire implements front.Target.
func (a all) TryAcquire() bool {
	for i, k := range a {
		if !k.TryAcquire() {
			a[:i].Release()
			return false
		}
	}
	return true
}

// Release implements front.Target.
func (a all) Release() {
	for _, k := range a {
		k.Release()
	}
}

// Awake implements front.Target.
func (a all) Awake() bool {
	for _, k := range a {
		if !k.Awake() {
			return false
		}
	}
	return true
}
