package rewrite

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// TestPutBack: nobody but TPA changes what TPA writes.
func TestPutBack(t *testing.T) {
	forged := `{"selector":{"app":"other"},"targetPorts":{"80":"http","81":9000}}`
	for name, tt := range map[string]struct {
		edit func(*corev1.Service)
		want string
	}{
		"phase changed":       {set(contract.PhaseKey, "Pending"), "tpa.dev/phase"},
		"phase removed":       {unset(contract.PhaseKey), "tpa.dev/phase"},
		"slots changed":       {set(contract.PortsKey, "80:20002,81:20001"), "tpa.dev/ports"},
		"slots removed":       {unset(contract.PortsKey), "tpa.dev/ports"},
		"original changed":    {set(contract.OriginalKey, forged), "tpa.dev/original"},
		"original removed":    {unset(contract.OriginalKey), "tpa.dev/original"},
		"original unreadable": {set(contract.OriginalKey, "{"), "tpa.dev/original"},
		"label removed":       {func(s *corev1.Service) { delete(s.Labels, contract.ManagedLabel) }, "tpa.dev/managed"},
		"label changed":       {func(s *corev1.Service) { s.Labels[contract.ManagedLabel] = "no" }, "tpa.dev/managed"},
		"all gone, as replace does": {
			func(s *corev1.Service) { s.Labels, s.Annotations = nil, users().Annotations },
			"tpa.dev/managed, tpa.dev/original, tpa.dev/phase, tpa.dev/ports",
		},
	} {
		t.Run(name, func(t *testing.T) {
			old := active().Obj()
			after, result := admit(t, Request{Old: old, New: edited(old, tt.edit)})
			if diff := cmp.Diff(old, after); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			want := []string{tt.want + ": only TPA itself changes this; the request's value is not taken"}
			if diff := cmp.Diff(want, result.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestForgedFromTheStart: what TPA writes makes no Service a managed one.
func TestForgedFromTheStart(t *testing.T) {
	plain := edited(users().Annotate("example.com/note", "x").Obj(), unset(contract.TargetKey))
	forged := edited(plain, func(svc *corev1.Service) {
		phase("Active")(svc)
		set(contract.PortsKey, "80:20009")(svc)
		svc.Labels = map[string]string{contract.ManagedLabel: contract.ManagedTrue}
	})
	for name, req := range map[string]Request{"create": {New: forged}, "update": {Old: plain, New: forged}} {
		after, result := admit(t, req)
		if diff := cmp.Diff(plain, after); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(result.Warnings) != 1 {
			t.Errorf("%s: warnings %q", name, result.Warnings)
		}
	}
}

// TestReplace: a client that replaces the Service by its manifest means the manifest.
func TestReplace(t *testing.T) {
	old := active().Obj()
	incoming := users().Select("app", "web2").Obj()
	after, _ := admit(t, Request{Old: old, New: incoming})
	if diff := cmp.Diff(incoming.Spec, userForm(t, after)); diff != "" {
		t.Errorf("the user's spec (-want +got):\n%s", diff)
	}
	if got := after.Annotations[contract.PhaseKey]; got != string(contract.Active) {
		t.Errorf("phase %q", got)
	}
}

// TestForeignPhase: a phase that was there before the webhook.
func TestForeignPhase(t *testing.T) {
	for name, tt := range map[string]struct {
		old  *corev1.Service
		want contract.Phase
	}{
		"not rewritten":            {users().Annotate(contract.PhaseKey, "x").Obj(), contract.Pending},
		"rewritten":                {edited(active().Obj(), phase("x")), contract.Active},
		"rewritten without target": {edited(active().Obj(), func(s *corev1.Service) { phase("x")(s); unset(contract.TargetKey)(s) }), contract.Restoring},
		"neither":                  {edited(users().Annotate(contract.PhaseKey, "x").Obj(), unset(contract.TargetKey)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			after, result := admit(t, Request{Old: tt.old, New: edited(tt.old, set("example.com/note", "x"))})
			if result.Phase != tt.want {
				t.Errorf("phase %q, want %q", result.Phase, tt.want)
			}
			if diff := cmp.Diff(users().Spec, userForm(t, after)); diff != "" {
				t.Errorf("the user's spec (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNeedsScale: whose right to scale is asked for.
func TestNeedsScale(t *testing.T) {
	nothing := func(*corev1.Service) {}
	unmanaged := edited(users().Obj(), unset(contract.TargetKey))
	leaving := edited(active().Annotate(contract.PhaseKey, "Restoring").Obj(), unset(contract.TargetKey))
	for name, tt := range map[string]struct {
		old  *corev1.Service
		edit func(*corev1.Service)
		tpa  bool
		want bool
	}{
		"created":                      {nil, nothing, false, true},
		"annotated":                    {unmanaged, set(contract.TargetKey, "web"), false, true},
		"annotated before TPA saw it":  {users().Obj(), nothing, false, true},
		"the same by TPA":              {users().Obj(), nothing, true, false},
		"another target":               {active().Obj(), set(contract.TargetKey, "other"), false, true},
		"a setting":                    {active().Obj(), set(contract.IdleTimeoutKey, "5m"), false, true},
		"the target again":             {leaving, set(contract.TargetKey, "web"), false, true},
		"target removed":               {active().Obj(), unset(contract.TargetKey), false, false},
		"something else":               {active().Obj(), set("example.com/note", "x"), false, false},
		"the selector":                 {active().Obj(), func(s *corev1.Service) { s.Spec.Selector = pair([]string{"a", "b"}) }, false, false},
		"TPA's own, put back":          {active().Obj(), unset(contract.PhaseKey), false, false},
		"a setting while on its way":   {leaving, set(contract.IdleTimeoutKey, "5m"), false, false},
		"the controller changes phase": {active().Obj(), phase("Restoring"), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			incoming := users().Obj()
			if tt.old != nil {
				incoming = edited(tt.old, tt.edit)
			}
			_, result := admit(t, Request{Old: tt.old, New: incoming, FromTPA: tt.tpa})
			if result.NeedsScale != tt.want {
				t.Errorf("NeedsScale %v, want %v", result.NeedsScale, tt.want)
			}
			if _, ok := incoming.Annotations[contract.TargetKey]; ok && len(result.Settings.Targets) != 1 {
				t.Errorf("targets %v", result.Settings.Targets)
			}
		})
	}
}

// TestAskedAgain: another webhook changed the object after our answer, and we are asked again.
func TestAskedAgain(t *testing.T) {
	old := active().Obj()
	first, _ := admit(t, Request{Old: old, New: edited(old, func(svc *corev1.Service) {
		svc.Spec.Selector["tier"] = "b"
		svc.Spec.Ports[0].Port, svc.Spec.Ports[1].Port = 81, 80
	})})
	second, result := admit(t, Request{Old: old, New: edited(first, set("example.com/injected", "x"))})
	if diff := cmp.Diff(first.Spec, second.Spec); diff != "" {
		t.Errorf("(-first +second):\n%s", diff)
	}
	spec := userForm(t, second)
	if got, want := show(spec.Selector)+" "+showPorts(spec), "app=web,tier=b http 81→http, admin 80→9000"; got != want {
		t.Errorf("the user's spec %s, want %s", got, want)
	}
	if len(result.Warnings) > 0 {
		t.Errorf("warnings: %q", result.Warnings)
	}
	// In the next request the same answer is nothing special any more.
	next := committed(second)
	forged := strings.Replace(next.Annotations[contract.OriginalKey], `"tier":"b"`, `"tier":"c"`, 1)
	third, result := admit(t, Request{Old: next, New: edited(next, set(contract.OriginalKey, forged))})
	if got := show(userForm(t, third).Selector); got != "app=web,tier=b" || len(result.Warnings) != 1 {
		t.Errorf("selector %s, warnings %q", got, result.Warnings)
	}
}
