package target

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

// Run keeps the target until the Keeper has retired, or until ctx ends: then it gives the claim up if nobody is inside.
func (k *Keeper) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer k.report()
	for {
		k.report()
		k.look(ctx)
		action, was := k.next(false)
		if action.Kind == sleep.Wait {
			if k.end() {
				return
			}
			k.tellTransitions()
			k.tellOutcome(context.WithoutCancel(ctx))
			timer.Stop()
			if wait, any := k.untilNext(action); any {
				timer.Reset(wait)
			}
			select {
			case <-k.kick:
			case <-timer.C:
			case <-ctx.Done():
				k.leave()
				return
			}
			continue
		}
		if k.canWait() {
			if !k.doInTurn(ctx) {
				k.leave()
				return
			}
			continue
		}
		// The context's end does not break off what is under way: an answer that is not waited for leaves doubt.
		k.do(context.WithoutCancel(ctx), action, was)
		if ctx.Err() != nil {
			k.leave()
			return
		}
	}
}

// untilNext is in how long something is to be done, if that is known.
func (k *Keeper) untilNext(action sleep.Action) (wait time.Duration, any bool) {
	if !action.At.IsZero() {
		wait, any = action.At.Sub(now()), true
	}
	if due := k.tellDue(); !due.IsZero() && (!any || time.Until(due) < wait) {
		wait, any = time.Until(due), true
	}
	return wait, any
}

// canWait reports whether what is to be done may wait for a turn. The gate is as open until then as it was.
func (k *Keeper) canWait() bool {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	if k.config.Turns == nil || k.gate.active > 0 || k.gate.waiting > 0 || k.falling() {
		return false
	}
	k.givingUp = false
	k.swing()
	return true
}

// falling reports whether this process is putting the target to sleep; gate.mu is held.
func (k *Keeper) falling() bool {
	state, _ := k.machine.State()
	return state.Phase == sleep.Sleeping && state.By == k.config.Process
}

// doInTurn does what is to be done when its turn has come, a sleep as a whole, unless something changes first. It reports
// false if ctx ends.
func (k *Keeper) doInTurn(ctx context.Context) bool {
	select {
	case k.config.Turns <- struct{}{}:
	case <-k.kick:
		return true
	case <-ctx.Done():
		return false
	}
	defer func() { <-k.config.Turns }()
	for more := true; more && ctx.Err() == nil; {
		action, was := k.next(false)
		if action.Kind == sleep.Wait {
			break
		}
		k.do(context.WithoutCancel(ctx), action, was)
		k.gate.mu.Lock()
		more = k.falling()
		k.gate.mu.Unlock()
	}
	return ctx.Err() == nil
}

// leave finishes a sleep that is under way and gives the claim up, as far as that is quickly done.
func (k *Keeper) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*callTimeout)
	defer cancel()
	for ctx.Err() == nil {
		action, was := k.next(true)
		if action.Kind == sleep.Wait {
			return
		}
		k.do(ctx, action, was)
	}
}

// end reports whether the Keeper has retired and nothing is left to do.
func (k *Keeper) end() bool {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	state, exists := k.machine.State()
	_, claims := state.Claims[k.config.Pod]
	owes := exists && (claims && state.Phase == sleep.Awake || state.Phase == sleep.Sleeping && state.By == k.config.Process)
	if k.retired && k.gate.empty() && !owes {
		k.gate.ended = true
		k.swing()
	}
	return k.gate.ended
}

// next asks the machine what to do, and closes the gate if that gives the claim up.
func (k *Keeper) next(leaving bool) (sleep.Action, record) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	leaving = leaving || k.retired
	in := sleep.Inputs{
		Now: now(), Active: k.gate.active, IdleSince: k.gate.idleSince,
		Waiting: k.gate.waiting > 0, Served: k.config.Held != nil && !k.config.Held(), Ready: k.ready, Starting: k.stuck(),
		IdleTimeout: k.use.IdleTimeout, SleepRequested: k.requested, WakeReplicas: k.use.WakeReplicas,
		Blocked: k.use.Blocked != "" || k.use.Mode != contract.ModeSleep || k.denied != "" || k.lifted || k.retired, Leaving: leaving,
	}
	if k.paused() && !leaving {
		in.Active++
	}
	if k.lifted {
		// The scale that Allow denied is forgotten once, and so read anew: which asks Allow again.
		k.lifted = false
		k.poke()
	}
	if k.config.Lost != nil {
		in.Lost = k.config.Lost()
	}
	if state, ok := k.machine.State(); ok {
		holders := make([]string, 0, len(state.Claims))
		for holder := range state.Claims {
			holders = append(holders, holder)
		}
		in.Gone = slices.DeleteFunc(k.config.Gone(holders), func(holder string) bool { return in.Now.Before(k.alive[holder]) })
	}
	action := k.machine.Next(in)
	k.givingUp = action.GivesUp
	k.swing()
	return action, k.last
}

// do carries an action out and tells the machine how it ended.
func (k *Keeper) do(ctx context.Context, a sleep.Action, was record) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var (
		result  sleep.Result
		written record
		err     error
		ns, t   = k.config.Namespace, k.config.Target
	)
	switch a.Kind {
	case sleep.ReadLease:
		written, err = k.config.Store.read(ctx, ns, t)
	case sleep.Swap:
		if a.State.Phase == sleep.Sleeping {
			k.falls = k.reason(was.state)
		}
		is := record{state: a.State, history: k.history(was, a.State)}
		written, err = k.config.Store.write(ctx, ns, t, was, is)
	case sleep.ReadScale:
		var w workload
		result.Scale, w, err = k.config.Store.scale(ctx, ns, t)
		if err == nil {
			k.uid = w.uid
		}
		k.looked(err)
		k.ask(w.selector, err)
	case sleep.WriteScale:
		result.Scale, err = k.config.Store.setScale(ctx, ns, t, a.Scale, a.Replicas)
		k.scaled(a, err)
	case sleep.Verify:
		result.Missing, err = k.missing(ctx, a.Holders)
	}
	result.Outcome = outcome(err)
	k.done(a, result, was, written, err)
	if a.Kind == sleep.Swap && result.Outcome == sleep.OK {
		k.passed(was.state, a.State)
	}
	if a.Kind == sleep.Verify && err == nil && len(result.Missing) == 0 {
		k.believe(a.Holders)
	}
	if a.Kind == sleep.Verify && err == nil && len(result.Missing) > 0 {
		k.gate.mu.Lock()
		drop, was := k.machine.Dropped(result.Missing, now()), k.last
		k.gate.mu.Unlock()
		written, err := k.config.Store.swap(ctx, ns, t, was, drop.State)
		k.done(drop, sleep.Result{Outcome: outcome(err)}, was, written, err)
	}
}

// done takes in how a call ended.
func (k *Keeper) done(a sleep.Action, r sleep.Result, was, written record, err error) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	if err != nil && r.Outcome != sleep.Conflict && (k.lastErr == nil || k.lastErr.Error() != err.Error()) {
		k.config.Log.Warn("target: call failed", zap.Error(err))
	}
	if r.Outcome != sleep.Conflict {
		k.lastErr = err
	}
	k.machine.Done(a, r, now())
	k.givingUp = false
	if r.Outcome == sleep.OK && (a.Kind == sleep.Swap || a.Kind == sleep.ReadLease) && k.newer(written) {
		k.observe(written)
	}
	if r.Outcome == sleep.OK && a.Kind == sleep.Swap && was.exists() && a.State.Phase != was.state.Phase {
		k.config.Log.Info("target", zap.String("phase", string(a.State.Phase)), zap.Int32("replicas", a.State.Replicas),
			zap.Duration("after", a.State.Since.Sub(was.state.Since)))
	}
	if r.Outcome == sleep.OK && a.Kind == sleep.Swap && written.history.Wakes > was.history.Wakes {
		k.began(written.history.LastWake)
	}
	k.swing()
}

// began notes that this process began a wake; gate.mu is held.
func (k *Keeper) began(w *contract.Wake) {
	if k.waking != nil {
		k.waking.began = w.At
	}
}

// newer reports whether a record is not older than what was observed; gate.mu is held.
func (k *Keeper) newer(r record) bool {
	if !r.exists() || !k.last.exists() {
		return true
	}
	n, err := resourceversion.CompareResourceVersion(r.version, k.last.version)
	return err != nil || n >= 0
}

// ask asks Allow whether a target that is about to sleep may.
func (k *Keeper) ask(podSelector string, err error) {
	if err != nil || k.config.Allow == nil {
		return
	}
	why := k.config.Allow(podSelector)
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	k.denied = why
}

// scaled reports a write of the scale.
func (k *Keeper) scaled(a sleep.Action, err error) {
	if err != nil {
		return
	}
	if a.Replicas == 0 {
		if k.config.OnSleep != nil {
			k.config.OnSleep(k.falls)
		}
		return
	}
	k.scaledUp(a.Replicas)
	if k.config.OnWake != nil {
		k.config.OnWake()
	}
}

// scaledUp notes it for the report of the wake, or reports it if there will be none: the target was awake, without
// replicas.
func (k *Keeper) scaledUp(replicas int32) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	if k.waking == nil {
		k.config.Log.Info("target: scaled up", zap.Int32("replicas", replicas))
		return
	}
	k.waking.replicas = replicas
	k.waking.end(Scale, time.Now())
}

// believe keeps holders that the API server knows from being asked for again at once: the watch is behind.
func (k *Keeper) believe(holders []string) {
	k.gate.mu.Lock()
	defer k.gate.mu.Unlock()
	k.alive = map[string]time.Time{}
	for _, holder := range holders {
		k.alive[holder] = now().Add(sleep.Recheck)
	}
	time.AfterFunc(sleep.Recheck, k.poke)
}

// missing returns the holders whose pods do not exist.
func (k *Keeper) missing(ctx context.Context, holders []string) ([]string, error) {
	var missing []string
	for _, holder := range holders {
		exists, err := k.config.Exists(ctx, holder)
		if err != nil {
			return nil, fmt.Errorf("look for pod %s/%s: %w", k.config.Namespace, holder, err)
		}
		if !exists {
			missing = append(missing, holder)
		}
	}
	return missing, nil
}
