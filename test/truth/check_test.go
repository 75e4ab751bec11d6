//go:build integration

package truth

import (
	"errors"
	"strings"
	"testing"
)

// check: the user has what the twin has, and gets it back.
func (r row) check(t *testing.T, c client, v, twin *visit) {
	if err := errors.Join(v.refusal, v.dryRefusal, twin.refusal); err != nil {
		t.Fatal(err)
	}
	if v.dry.ResourceVersion != v.before.ResourceVersion {
		t.Error("the dry run changed the Service")
	}
	if shown := v.dryAnswer.shown[v.namespace]; shown != nil {
		if diff := sameObject(shown, v.after); diff != "" {
			t.Errorf("the dry run showed something else (-shown +got):\n%s", diff)
		}
	} else if !c.noDryRun {
		t.Error("the dry run showed nothing")
	}
	r.checkArrived(t, v)
	if v.phase.Rewritten() {
		r.checkWarned(t, v.answer)
		if !c.noDryRun {
			r.checkWarned(t, v.dryAnswer)
		}
	}

	next := v.next(r.edit)
	if err := fits(v.after, next); err != nil {
		t.Error(err)
	}
	if twin.after.ResourceVersion == twin.before.ResourceVersion && v.after.ResourceVersion != v.before.ResourceVersion {
		t.Errorf("the request changed the Service and not its twin (-before +after):\n%s", sameObject(v.before, v.after))
	}
	spec, err := meant(v.after)
	if err != nil {
		t.Fatal(err)
	}
	back, err := optOut(t.Context(), v.namespace)
	if err != nil {
		t.Fatal(err)
	}
	if err := fits(back, ""); err != nil {
		t.Error(err)
	}
	if diff := sameNotes(twin.after, back); diff != "" {
		t.Errorf("labels and annotations after opting out (-twin +got):\n%s", diff)
	}
	if r.comes.means != "" && v.phase.Rewritten() {
		if show(spec) != r.comes.means || show(back.Spec) != r.comes.means {
			t.Errorf("the user has %s, and after opting out %s, want %s", show(spec), show(back.Spec), r.comes.means)
		}
		return
	}
	if diff := sameSpec(twin.after.Spec, spec); diff != "" {
		t.Errorf("what the user has by TPA's account (-twin +got):\n%s", diff)
	}
	if diff := sameSpec(twin.after.Spec, back.Spec); diff != "" {
		t.Errorf("after opting out (-twin +got):\n%s", diff)
	}
}

// checkRefused: the client is told why, and nothing has changed.
func (r row) checkRefused(t *testing.T, c client, v *visit) {
	for _, text := range r.comes.refuses(v.place) {
		if v.refusal == nil || !strings.Contains(v.refusal.Error(), text) {
			t.Errorf("the request was answered %v, want %q", v.refusal, text)
		}
		if !c.noDryRun && (v.dryRefusal == nil || !strings.Contains(v.dryRefusal.Error(), text)) {
			t.Errorf("the dry run was answered %v, want %q", v.dryRefusal, text)
		}
	}
	r.checkArrived(t, v)
	if v.after.ResourceVersion != v.before.ResourceVersion {
		t.Errorf("the Service changed (-before +after):\n%s", sameObject(v.before, v.after))
	}
	back, err := optOut(t.Context(), v.namespace)
	if err != nil {
		t.Fatal(err)
	}
	if err := fits(back, ""); err != nil {
		t.Error(err)
	}
	if got, want := show(back.Spec), "app=web tier=a | http 80>http, admin 81>9000"; got != want {
		t.Errorf("after opting out %s, want %s", got, want)
	}
}

func (r row) checkWarned(t *testing.T, a answer) {
	if (a.warnings == "") != (r.comes.warns == "") || !strings.Contains(a.warnings, r.comes.warns) {
		t.Errorf("warnings %q, want %q", a.warnings, r.comes.warns)
	}
}

func (r row) checkArrived(t *testing.T, v *visit) {
	if !v.phase.Rewritten() {
		return
	}
	arrived := "nothing"
	if v.arrived != nil {
		arrived = show(v.arrived.Spec)
	}
	if arrived != r.arrives {
		t.Errorf("arrived: %s\nwant:    %s", arrived, r.arrives)
	}
}
