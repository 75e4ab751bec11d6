package target

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// stewardHolder is the controller's claim. It is not the name of a pod, so no proxy drops it.
const stewardHolder = "/controller"

// ErrBusy is returned while the target is falling asleep or has just been woken: ask again in a moment.
var ErrBusy = errors.New("target is between sleep and wake")

// Doubt is for how long after a wake a pod that was ready before it may be one that the sleep before is about to end: the
// controllers have not caught up yet.
const Doubt = 2 * time.Second

// maxSkew is how far apart clocks are that people put up with. A target that has been awake for longer is in no doubt.
const maxSkew = time.Minute

// HoldState is how a target stands that the controller holds.
type HoldState struct {
	// Found says that the workload exists.
	Found bool
	// Asleep says that it has no replicas by somebody else's decision: there is nothing to wait for.
	Asleep bool
}

// Steward does for the controller what it needs of targets. It keeps one state machine for each target it holds, so
// that a sleep that its author left unfinished is noticed and taken over as by any proxy.
type Steward struct {
	store   *Store
	process string

	mu       sync.Mutex
	holds    map[key]*holding
	machines int // that have been made
}

// holding is the controller's part in the protocol for one target.
type holding struct {
	mu      sync.Mutex
	machine *sleep.Machine
	// since is when the target became awake, by the clock of who woke it, and seen when this process first saw that.
	since, seen time.Time
}

// settled reports whether the pods of an awake target are those that it is going to keep. Clocks may differ, so the time is
// taken from when this process saw it awake.
func (h *holding) settled(state sleep.State) bool {
	if h.seen.IsZero() || !state.Since.Equal(h.since) {
		h.since, h.seen = state.Since, time.Now()
	}
	return time.Since(h.seen) >= Doubt || now().Sub(state.Since) >= Doubt+maxSkew
}

type key struct {
	namespace string
	target    contract.Target
}

// NewSteward returns a Steward; process is unique to this process.
func NewSteward(store *Store, process string) *Steward {
	return &Steward{store: store, process: stewardHolder + "/" + process, holds: map[key]*holding{}}
}

// Hold claims the target for the controller and scales it up if TPA put it to sleep. It may be repeated. The claim
// lasts until Release or Forget.
func (s *Steward) Hold(ctx context.Context, namespace string, t contract.Target) (HoldState, error) {
	was, err := s.store.read(ctx, namespace, t)
	if err != nil {
		return HoldState{}, err
	}
	sc, _, err := s.store.scale(ctx, namespace, t)
	if outcome(err) == sleep.Refused {
		return HoldState{}, nil
	}
	if err != nil {
		return HoldState{}, err
	}
	byHand := sc.Replicas == 0 && was.state.Phase != sleep.Sleeping && !was.state.Owed
	if !was.exists() || byHand {
		again, err := s.store.read(ctx, namespace, t)
		if err == nil && again.version != was.version { // the 0 may be that of a sleep which began in between
			err = fmt.Errorf("hold %s in %s: %w", t, namespace, ErrBusy)
		}
		return HoldState{Found: true, Asleep: sc.Replicas == 0}, err
	}
	h := s.holding(namespace, t)
	h.mu.Lock()
	defer h.mu.Unlock()
	return HoldState{Found: true}, s.run(ctx, namespace, t, h, was)
}

func (s *Steward) holding(namespace string, t contract.Target) *holding {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.holds[key{namespace, t}]
	if h == nil {
		// A machine does not know what one before it has sent: to package sleep that was another process.
		s.machines++
		h = &holding{machine: sleep.New(stewardHolder, fmt.Sprintf("%s/%d", s.process, s.machines))}
		s.holds[key{namespace, t}] = h
	}
	return h
}

// run lets the machine claim the target and scale it up.
func (s *Steward) run(ctx context.Context, namespace string, t contract.Target, h *holding, was record) error {
	m := h.machine
	m.Observe(was.state, was.exists(), was.version, now())
	in := sleep.Inputs{Waiting: true, IdleTimeout: time.Hour}
	for ctx.Err() == nil {
		in.Now = now()
		a := m.Next(in)
		if a.Kind == sleep.Wait {
			state, _ := m.State()
			if m.Held() && h.settled(state) {
				return nil
			}
			return fmt.Errorf("hold %s in %s: %w", t, namespace, ErrBusy)
		}
		var (
			result sleep.Result
			err    error
		)
		switch a.Kind {
		case sleep.ReadLease:
			was, err = s.store.read(ctx, namespace, t)
		case sleep.Swap:
			var written record
			if written, err = s.store.swap(ctx, namespace, t, was, a.State); err == nil {
				was = written
			}
		case sleep.ReadScale:
			result.Scale, _, err = s.store.scale(ctx, namespace, t)
		case sleep.WriteScale:
			result.Scale, err = s.store.setScale(ctx, namespace, t, a.Scale, a.Replicas)
		}
		result.Outcome = outcome(err)
		m.Done(a, result, now())
		switch {
		case result.Outcome != sleep.OK && result.Outcome != sleep.Conflict:
			return err
		case result.Outcome == sleep.OK && (a.Kind == sleep.Swap || a.Kind == sleep.ReadLease):
			m.Observe(was.state, was.exists(), was.version, now())
		}
	}
	return ctx.Err()
}

// Held reports whether a target's Lease shows a Hold that was not released, whichever process made it.
func (s *Steward) Held(lease *coordinationv1.Lease) bool {
	_, held := recordOf(lease, now()).state.Claims[stewardHolder]
	return held
}

// Release ends a Hold.
func (s *Steward) Release(ctx context.Context, namespace string, t contract.Target) error {
	s.mu.Lock()
	delete(s.holds, key{namespace, t})
	s.mu.Unlock()
	return s.change(ctx, namespace, t, func(state *sleep.State) bool {
		_, held := state.Claims[stewardHolder]
		if held {
			*state = state.Drop(stewardHolder, now())
		}
		return held
	})
}

// Settle keeps the target from sleeping before a time. It creates the target's Lease if there is none.
func (s *Steward) Settle(ctx context.Context, namespace string, t contract.Target, until time.Time) error {
	return s.change(ctx, namespace, t, func(state *sleep.State) bool {
		if state.Phase == "" {
			*state = sleep.State{Phase: sleep.Awake, Since: now()}
		}
		later := until.After(state.NotBefore)
		if later {
			state.NotBefore = until.UTC().Truncate(time.Millisecond)
		}
		return later
	})
}

// Forget restores the replicas of a target that TPA put to sleep and deletes its Lease.
func (s *Steward) Forget(ctx context.Context, namespace string, t contract.Target) error {
	was, err := s.store.read(ctx, namespace, t)
	if err != nil || !was.exists() {
		return err
	}
	if was.state.Owed || was.state.Phase == sleep.Sleeping {
		if _, err := s.Hold(ctx, namespace, t); err != nil {
			return err
		}
		if was, err = s.store.read(ctx, namespace, t); err != nil || !was.exists() {
			return err
		}
	}
	s.mu.Lock()
	delete(s.holds, key{namespace, t})
	s.mu.Unlock()
	return s.store.remove(ctx, namespace, t, was)
}

// change writes what edit makes of the state until no other write comes in between. edit gets the zero State if there
// is no Lease, and reports whether there is anything to write.
func (s *Steward) change(ctx context.Context, namespace string, t contract.Target, edit func(*sleep.State) bool) error {
	for {
		was, err := s.store.read(ctx, namespace, t)
		if err != nil {
			return err
		}
		state := was.state
		if !edit(&state) {
			return nil
		}
		state.Seq++
		_, err = s.store.swap(ctx, namespace, t, was, state)
		if outcome(err) != sleep.Conflict || ctx.Err() != nil {
			return err
		}
	}
}
