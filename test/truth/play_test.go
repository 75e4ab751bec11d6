//go:build integration

package truth

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// visit is one row in one place.
type visit struct {
	place
	namespace string
	// The Service before anything, after the dry run, and after the request.
	before, dry, after *corev1.Service
	// arrived is what TPA got.
	arrived             *corev1.Service
	dryAnswer, answer   answer
	dryRefusal, refusal error
}

// play runs a row in every place, and counts the cells.
func (r row) play(t *testing.T, c client, count *tally) {
	visits := map[string]*visit{}
	var groups [][]*visit
	for _, p := range places {
		if !p.played(r.edit) {
			continue
		}
		v := &visit{place: p, namespace: strings.ToLower(strings.ReplaceAll(c.name+" "+r.edit.name+" "+p.name, " ", "-"))}
		if err := createNamespace(t.Context(), v.namespace, p.phase != ""); err != nil {
			t.Fatal(err)
		}
		visits[p.name] = v
		if len(groups) == 0 || r.comes.alone() {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], v)
	}
	for _, group := range groups {
		if err := r.send(t.Context(), t.TempDir(), c, group); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range places {
		v, ok := visits[p.name]
		if !ok || p.phase == "" {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			count.run.Add(1)
			if r.comes.refuses(p) != nil {
				r.checkRefused(t, c, v)
			} else {
				r.check(t, c, v, visits[p.twin])
			}
			if !t.Failed() {
				count.passed.Add(1)
			}
		})
	}
}

// send brings Services into their phases and lets the client edit them, first as a dry run.
func (r row) send(ctx context.Context, dir string, c client, group []*visit) error {
	b := batch{ctx: ctx, dir: dir}
	create := c.create
	if create == nil {
		create = func(b batch) (answer, error) { return c.send(b, false) }
	}
	for _, v := range group {
		b.docs = append(b.docs, doc{v.namespace, base(v.namespace), sameAgain})
	}
	if _, err := create(b); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := bringIntoPhase(b, c, group); err != nil {
		return err
	}

	b.docs = nil
	for _, v := range group {
		b.docs = append(b.docs, doc{v.namespace, v.manifest(v.namespace, r.edit), r.edit})
		seen.Forget(v.namespace)
	}
	for _, v := range group {
		var err error
		if v.before, err = get(ctx, v.namespace); err != nil {
			return err
		}
	}
	var dryAnswer answer
	var dryErr error
	if !c.noDryRun {
		dryAnswer, dryErr = c.send(b, true)
	}
	for _, v := range group {
		var err error
		if v.dry, err = get(ctx, v.namespace); err != nil {
			return err
		}
		v.dryAnswer, v.dryRefusal = dryAnswer, dryErr
	}
	answer, err := c.send(b, false)
	if len(group) > 1 && (err != nil || dryErr != nil) {
		return fmt.Errorf("dry run: %w; request: %w", dryErr, err)
	}
	for _, v := range group {
		v.answer, v.refusal, v.arrived = answer, err, seen.Last(v.namespace)
		var err error
		if v.after, err = get(ctx, v.namespace); err != nil {
			return err
		}
	}
	return nil
}

// bringIntoPhase plays the controller, and the user who opts out.
func bringIntoPhase(b batch, c client, group []*visit) error {
	optOut := c.optOut
	if optOut.do == nil {
		optOut = optedOut
	}
	var out []doc
	leaves := false
	for i, v := range group {
		if v.phase == contract.Pending {
			if err := controller(b.ctx, v.namespace, contract.PortsKey, slots); err != nil {
				return err
			}
		}
		if v.phase.Rewritten() {
			if err := activate(b.ctx, v.namespace); err != nil {
				return err
			}
		}
		if v.left {
			leaves = true
			out = append(out, doc{v.namespace, v.manifest(v.namespace, sameAgain), optOut})
		} else if c.whole {
			out = append(out, b.docs[i])
		}
	}
	if leaves {
		b.docs = out
		if _, err := c.send(b, false); err != nil {
			return fmt.Errorf("opt out: %w", err)
		}
	}
	for _, v := range group {
		if v.phase == contract.Restoring && !v.left {
			if err := controller(b.ctx, v.namespace, contract.PhaseKey, string(contract.Restoring)); err != nil {
				return err
			}
		}
		svc, err := get(b.ctx, v.namespace)
		if err != nil {
			return err
		}
		if err := fits(svc, v.phase); err != nil {
			return fmt.Errorf("before the edit in %s: %w", v.name, err)
		}
	}
	return nil
}
