package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/test/soak/fault"
)

const (
	// calm is how long clients call before each fault.
	calm = 15 * time.Second
	// usualAtLeast is what no answer is late that takes no longer, however fast those in the calm were.
	usualAtLeast = 3 * time.Second
	// healWithin bounds a heal, however often it must be tried.
	healWithin = 2 * time.Minute
)

// trials are faults that strike while clients call.
type trials struct {
	*session
	env fault.Env

	mu      sync.Mutex
	strikes []*strike
	row     *row // of the trial at work; nil in the calm
	// slowest is the slowest answer of this calm; usual is what is none too late, by that of the last.
	slowest, usual time.Duration
	calmSince      time.Time
	healed         time.Time
	// answered are the Services that were called since healed, and answered as usual.
	answered map[string]bool
}

// try has faults strike one after the other, or two at a time if they are mixed, and notes a row for each trial.
func (f *fleet) try(ctx context.Context, o options) (result, error) {
	t := &trials{env: fault.Env{Cluster: f.Cluster, Namespace: f.namespace}}
	for _, target := range f.plan.targets {
		t.env.Targets = append(t.env.Targets, target.name)
	}
	s, err := f.start(ctx, o, func(s *session) {
		t.session = s
		tell := s.record.also
		s.record.also = func(c connection, e excuse) { tell(c, e); t.count(c, e) }
		s.record.excuse = t.excuse
	})
	if err != nil {
		return result{}, err
	}
	var rows []row
	if o.mixed {
		rows = append(rows, t.mixed(ctx, o.length))
	} else {
		for _, one := range append([]fault.Fault{none}, o.faults...) {
			if ctx.Err() != nil {
				break
			}
			rows = append(rows, t.one(ctx, one))
		}
	}
	r := s.finish()
	errs := []error{ctx.Err(), r.judge(0), t.leftovers(context.WithoutCancel(ctx))}
	for _, row := range rows {
		errs = append(errs, row.err)
	}
	r.Faults = rows
	return r, errors.Join(errs...)
}

var errHeal = errors.New("not healed")

// none is what the faults are compared with.
var none = fault.Fault{
	Name: "none", What: "nothing happens", Back: time.Minute,
	Strike: func(context.Context, *fault.Env) (fault.Heal, error) {
		return func(context.Context) error { return nil }, nil
	},
}

// one has a fault strike, and waits until all is normal again.
func (t *trials) one(ctx context.Context, f fault.Fault) row {
	wait(ctx, calm)
	r := t.begin(f)
	fmt.Printf("soak: %s: %s\n", f.Name, f.What)
	if err := t.run(ctx, f, f.For); err != nil {
		r.err = err
	} else {
		r.err = t.normal(ctx, r, f.Back)
	}
	return t.end(r)
}

// run has a fault strike, last and be healed.
func (t *trials) run(ctx context.Context, f fault.Fault, last time.Duration) error {
	s := &strike{fault: f, begun: time.Now()}
	t.mu.Lock()
	t.strikes = append(t.strikes, s)
	env := t.env
	env.Struck, env.Rand = s.struck, rand.New(rand.NewPCG(t.o.seed, 1<<32+uint64(len(t.strikes))))
	t.mu.Unlock()
	heal, err := f.Strike(ctx, &env)
	if err != nil {
		s.heal(time.Now())
		return fmt.Errorf("%s: strike: %w", f.Name, err)
	}
	wait(ctx, last)
	healing, cancel := context.WithTimeout(context.WithoutCancel(ctx), healWithin)
	defer cancel()
	// Another fault may be in the way.
	err = heal(healing)
	for err != nil && healing.Err() == nil {
		wait(healing, time.Second)
		err = heal(healing)
	}
	now := time.Now()
	s.heal(now)
	t.mu.Lock()
	t.healed, t.answered = now, map[string]bool{}
	t.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w: %w", f.Name, errHeal, err)
	}
	return nil
}

// begin begins a trial: what is counted from now on belongs to it.
func (t *trials) begin(f fault.Fault) *row {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.usual = max(usualAtLeast, 2*t.slowest)
	t.row = &row{Fault: f.Name, What: f.What, MayLose: f.MayLose.String(), begun: time.Now()}
	t.healed, t.answered = time.Time{}, map[string]bool{}
	return t.row
}

func (t *trials) end(r *row) row {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.row, t.slowest, t.calmSince = nil, 0, time.Now()
	fmt.Printf("soak: %s\n", r)
	return *r
}

func (t *trials) excuse(c connection) excuse {
	t.mu.Lock()
	strikes := t.strikes
	t.mu.Unlock()
	for _, s := range strikes {
		if e := s.excuses(c, t.watch, strikes); e != unexcused {
			return e
		}
	}
	return unexcused
}

// count adds a connection to the trial at work.
func (t *trials) count(c connection, e excuse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.kind() == kit.OK && !t.healed.IsZero() && c.begun.After(t.healed) && c.first <= t.usual {
		t.answered[c.service.name] = true
	}
	if t.row == nil {
		if c.begun.After(t.calmSince) {
			t.slowest = max(t.slowest, c.first)
		}
		return
	}
	if c.begun.After(t.row.begun) || c.kind() != kit.OK {
		t.row.add(c, e, t.usual)
	}
}

// normal waits until all is as it was before: nothing that the cluster shows is out of order, each Service was called and
// answered as usual since the heal, each target has slept since, and nobody has a claim who does not exist.
func (t *trials) normal(ctx context.Context, r *row, within time.Duration) error {
	err := kit.Wait(ctx, within, r.Fault+" to be over: all as it was", func(ctx context.Context) (bool, string) {
		err := t.missing(ctx)
		return err == nil, fmt.Sprint(err)
	})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Normal = time.Since(t.healed).Seconds()
	return nil
}

// missing is what is not normal yet.
func (t *trials) missing(ctx context.Context) error {
	t.mu.Lock()
	healed := t.healed
	var silent []string
	for _, s := range t.plan.services {
		if !t.answered[s.name] {
			silent = append(silent, s.name)
		}
	}
	t.mu.Unlock()
	if len(silent) > 0 {
		return fmt.Errorf("not answered as usual since: %s", strings.Join(silent, ", "))
	}
	if awake := t.watch.awakeSince(healed); len(awake) > 0 {
		return fmt.Errorf("not asleep since: %s", strings.Join(awake, ", "))
	}
	return errors.Join(t.env.Normal(ctx), t.claims(ctx))
}

// claims looks for claims of pods that do not exist.
func (t *trials) claims(ctx context.Context) error {
	var leases coordinationv1.LeaseList
	labels := client.MatchingLabels{contract.LeaseLabel: contract.LeaseTarget}
	if err := t.List(ctx, &leases, client.InNamespace(t.namespace), labels); err != nil {
		return err
	}
	// Looked for after the Leases, a pod with a claim is there if it ever was.
	var pods corev1.PodList
	if err := t.List(ctx, &pods, client.InNamespace(t.namespace)); err != nil {
		return err
	}
	exists := map[string]bool{}
	for _, p := range pods.Items {
		exists[p.Name] = true
	}
	for _, lease := range leases.Items {
		state, err := sleep.Parse(lease.Annotations[contract.StateKey])
		if err != nil {
			return fmt.Errorf("lease %s: %w", lease.Name, err)
		}
		for holder := range state.Claims {
			if !exists[holder] && !strings.HasPrefix(holder, "/") {
				return fmt.Errorf("lease %s has a claim of %s, which is gone", lease.Name, holder)
			}
		}
	}
	return nil
}

// wait waits for a time, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
