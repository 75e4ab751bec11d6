package target

import (
	"context"
	"time"

	"go.uber.org/zap"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/sleep"
)

const (
	// callTimeout bounds one call to the API server. The write of 0 replicas has as long; a late arrival is harmless, see
	// package sleep.
	callTimeout = 5 * time.Second
	// unclaimedAfter is how long a connection waits for an API server that does not answer before it is dialed without a
	// claim: nobody else can put the target to sleep either.
	unclaimedAfter = time.Second
)

// Use is how the Services of a target want it kept.
type Use struct {
	// IdleTimeout is the longest of the Services' idle time-outs.
	IdleTimeout time.Duration
	// WakeReplicas is the number of replicas to wake to; 0 means what the target had.
	WakeReplicas int32
	// Mode is the most careful one of the Services'.
	Mode contract.Mode
	// SleepRequested is the latest time at which somebody asked for a sleep, by that one's clock, and that was not still to come if
	// there is one such; the zero time if nobody asked.
	SleepRequested time.Time
	// Blocked says why the target must not sleep now; empty if it may.
	Blocked string
}

// Config is what a Keeper is made of. All fields are required but Turns, Lost, Allow and the hooks.
type Config struct {
	Namespace string
	Target    contract.Target
	// Pod is the claim's holder; Process is unique to this process.
	Pod, Process string
	Store        *Store
	Log          *zap.Logger
	// Gone returns those holders whose pods seem gone.
	Gone func(holders []string) []string
	// Exists asks the API server whether a holder's pod exists.
	Exists func(ctx context.Context, holder string) (bool, error)
	// Turns, if set, bounds by its capacity how many Keepers call the API server at once for what nobody waits for: a proxy that
	// starts, and all that falls idle at one time, must not come down on it with thousands of calls. Who has somebody
	// waiting goes on without a turn, and so does who meets an error in the middle of a sleep.
	Turns chan struct{}
	// Lost, if set, tells when this process last failed to reach the API server, see Reach.
	Lost func() time.Time
	// Allow, if set, is asked before the target is put to sleep, with the selector of its pods. It returns why not.
	Allow func(podSelector string) string
	// Held, if set, tells whether a connection that has passed may still be without a backend. It must neither block nor call
	// the Keeper, whose Held is to be called when it becomes true. Default: one may be.
	Held func() bool
	// OnDoze, if set, is called when the target has left Awake, before any connection can pass again: what was ready until
	// now is about to go. It must neither block nor call the Keeper.
	OnDoze func()
	// OnPhase, if set, is called after each change of View. It must neither block nor call the Keeper.
	OnPhase func()
	// OnSleep, if set, is called when this process has scaled the target to 0.
	OnSleep func(why SleepReason)
	// OnWake, if set, is called when it has scaled it back up.
	OnWake func()
	// OnTransition, if set, is called with what this process has done to the target. It must not block.
	OnTransition func(Transition)
	// OnWoken, if set, is called with each wake that connections waited for here, once it has ended: how, and for how long the
	// first of them had waited then.
	OnWoken func(outcome contract.WakeOutcome, took time.Duration)
	// OnStage, if set, is called with each stage of a wake that connections waited for here, once it has ended.
	OnStage func(s Stage, took time.Duration)
}

// Keeper is one proxy's part in keeping one target. It is what a front.Target needs of that.
type Keeper struct {
	config Config
	gate   gate
	kick   chan struct{}

	// Guarded by gate.mu.
	machine  *sleep.Machine
	last     record
	observed bool
	use      Use
	// requested is use.SleepRequested by this process's clock.
	requested time.Time
	denied    string               // what Allow said
	lifted    bool                 // what it said before does not count any more
	alive     map[string]time.Time // holders that the API server knows, whatever Gone says, until a time
	ready     int
	starting  time.Time // since when there are pods that may become ready; the zero time if there are none
	absence   absence
	givingUp  bool
	retired   bool
	lastErr   error
	view      View
	waking    *waking   // nil while nobody waits for the target to wake
	woken     []*waking // not reported yet
	untold    *tell     // nil if there is no outcome to be written
	nap       nap       // the one that was under way when the Lease or the Use last changed
	pod       contract.Requests

	// Run's own.
	falls       SleepReason // if it is to sleep
	transitions []Transition
	uid         types.UID // of the workload, as last seen
}

// View is what the data path must know of the phase.
type View struct {
	// Awake says that connections may be dialed.
	Awake bool
	// WokeAt is when this process saw the target wake; the zero time if it has not.
	WokeAt time.Time
	// Contested says that others have scaled it up again and again while it was asleep: it stays awake until its next use.
	Contested bool
	// MissingSince is when this process first missed the workload; the zero time if it exists, as far as is known.
	MissingSince time.Time
}

// New returns a Keeper; nothing happens before Run.
func New(config Config) *Keeper {
	k := &Keeper{config: config, kick: make(chan struct{}, 1), machine: sleep.New(config.Pod, config.Process)}
	k.gate.changed = k.changed
	k.gate.idleSince = now()
	return k
}

// Acquire is front.Target's, for a connection of a Service. It fails with front.ErrRetired if the Keeper has ended.
func (k *Keeper) Acquire(ctx context.Context, source Source) error { return k.gate.wait(ctx, source) }

// TryAcquire is front.Target's.
func (k *Keeper) TryAcquire() bool { return k.gate.tryEnter() }

// Release is front.Target's.
func (k *Keeper) Release(used time.Time) { k.gate.leave(used) }

// Park is front.Target's.
func (k *Keeper) Park(used time.Time, dozed func()) front.Parked { return k.gate.park(used, dozed) }

// Awake is front.Target's.
func (k *Keeper) Awake() bool {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	state, ok := k.machine.State()
	return ok && state.Phase == sleep.Awake
}

// State returns the target's state as this proxy knows it, and whether it does.
func (k *Keeper) State() (sleep.State, bool) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	return k.machine.State()
}

// Observe takes in the target's Lease as watched; nil if it does not exist.
func (k *Keeper) Observe(lease *coordinationv1.Lease) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	var r record
	if lease != nil {
		r = recordOf(lease, now())
	}
	if r.version == k.last.version && k.observed || !k.newer(r) {
		return // old news: the watch is behind this process's own writes
	}
	k.observe(r)
	k.swing()
	k.poke()
}

// observe takes in a record; gate.mu is held.
func (k *Keeper) observe(r record) {
	// Not the machine's, which knows nothing after a conflict: that is how a proxy learns of a round that it has not seen.
	before, knew := k.last.state, k.observed && k.last.exists()
	k.remember()
	k.last, k.observed = r, true
	k.machine.Observe(r.state, r.exists(), r.version, now())
	after, known := k.machine.State()
	// A round of sleep and wake that went by unseen shows in Since.
	if knew && known && before.Phase == sleep.Awake && (after.Phase != sleep.Awake || !after.Since.Equal(before.Since)) {
		k.gate.doze()
		if k.config.OnDoze != nil {
			k.config.OnDoze()
		}
	}
	awake := known && after.Phase == sleep.Awake
	if knew && awake && !after.Since.Equal(before.Since) {
		k.view.WokeAt = time.Now()
	}
	if knew && awake && before.Phase != sleep.Awake && k.gate.waiting > 0 {
		k.waking = &waking{held: k.gate.waitingSince, source: k.gate.source}
	}
	contested := known && after.Contested()
	if (awake != k.view.Awake || contested != k.view.Contested || !after.Since.Equal(before.Since)) && k.config.OnPhase != nil {
		k.config.OnPhase()
	}
	k.view.Awake, k.view.Contested = awake, contested
}

// View returns the target's phase as the data path needs it.
func (k *Keeper) View() View {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	return k.view
}

// SetUse changes how the target is kept. It reports false if the Keeper has ended after Retire: another is needed.
func (k *Keeper) SetUse(use Use) bool {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	if k.use != use || k.retired || k.denied != "" {
		k.lifted = k.lifted || k.denied != ""
		if !use.SleepRequested.Equal(k.use.SleepRequested) {
			k.requested = HeardOf(use.SleepRequested, now())
		}
		k.remember()
		if use.Mode == contract.ModePaused && k.use.Mode != contract.ModePaused {
			k.machine.Rouse()
		}
		k.use, k.retired, k.denied = use, false, ""
		k.poke()
	}
	return !k.gate.ended
}

// SetStarting tells whether there are pods that may become ready. Of a target that sleeps they are somebody's who has scaled
// it up, and have as long as it may be idle: then it counts as awake, and has its idle time-out to sleep again.
func (k *Keeper) SetStarting(starting bool) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	switch {
	case starting == !k.starting.IsZero():
		return
	case !starting:
		k.starting = time.Time{}
	default:
		k.starting = time.Now()
		time.AfterFunc(k.use.IdleTimeout, k.poke)
	}
	k.poke()
}

// stuck reports whether pods have been starting for too long; gate.mu is held.
func (k *Keeper) stuck() bool {
	return !k.starting.IsZero() && time.Since(k.starting) >= k.use.IdleTimeout
}

// SetReady tells how many backends are ready, and when the first of them was heard of.
func (k *Keeper) SetReady(n int, since time.Time) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	switch {
	case n > 0:
		k.waking.end(Ready, since)
	case k.waking != nil: // those before were of the time before the sleep
		k.waking.ends[Ready] = time.Time{}
	}
	if k.ready != n {
		k.ready = n
		k.poke()
	}
}

// Held tells that Config.Held has become true.
func (k *Keeper) Held() { k.poke() }

// PodsGone tells that some pods, of whatever kind, are there no more: the Keeper looks whether a claim's holder is among them.
func (k *Keeper) PodsGone() { k.poke() }

// Retire has the Keeper give its claim up and end once the last connection inside has ended. It does not put the target
// to sleep any more.
func (k *Keeper) Retire() {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	k.retired = true
	k.poke()
}

// swing opens or closes the gate as the claim says; gate.mu is held.
func (k *Keeper) swing() {
	k.gate.set((k.machine.Held() || k.unclaimed()) && !k.givingUp)
	if k.gate.open {
		k.waking.end(Decide, time.Now())
	}
}

// unclaimed reports whether connections are dialed without a claim; gate.mu is held.
func (k *Keeper) unclaimed() bool {
	state, _ := k.machine.State()
	return unreachable(k.lastErr) && k.ready > 0 && k.last.exists() && state.Phase == sleep.Awake &&
		(k.gate.open || k.gate.waiting > 0 && time.Since(k.gate.waitingSince) > unclaimedAfter)
}

// poke makes Run look again.
func (k *Keeper) poke() {
	select {
	case k.kick <- struct{}{}:
	default:
	}
}
