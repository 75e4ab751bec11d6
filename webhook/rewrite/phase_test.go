package rewrite

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// set and unset are edits of annotations.
func set(key, value string) func(*corev1.Service) {
	return func(svc *corev1.Service) { svc.Annotations[key] = value }
}

func unset(key string) func(*corev1.Service) {
	return func(svc *corev1.Service) { delete(svc.Annotations, key) }
}

func phase(p contract.Phase) func(*corev1.Service) { return set(contract.PhaseKey, string(p)) }

// TestLife follows Services through requests, one a line.
func TestLife(t *testing.T) {
	type step struct {
		who  string // tpa, or anything else for a user
		edit func(*corev1.Service)
		want contract.Phase
	}
	optIn := set(contract.TargetKey, "web")
	optOut := unset(contract.TargetKey)
	ports := set(contract.PortsKey, "80:20001,81:20002")
	release := unset(contract.PhaseKey)
	other := set("example.com/note", "x")

	for name, steps := range map[string][]step{
		"opt in and out while Pending": {{"ann", optIn, "Pending"}, {"ann", other, "Pending"}, {"ann", optOut, ""}},
		"opt in and out while Active": {
			{"ann", optIn, "Pending"},
			{"tpa", ports, "Pending"},
			{"tpa", phase("Active"), "Active"},
			{"ann", other, "Active"},
			{"ann", optOut, "Restoring"},
			{"ann", other, "Restoring"},
			{"tpa", release, ""},
		},
		"change of mind while Restoring": {
			{"ann", optIn, "Pending"},
			{"tpa", ports, "Pending"},
			{"tpa", phase("Active"), "Active"},
			{"ann", optOut, "Restoring"},
			{"ann", optIn, "Active"},
		},
		"the namespace leaves and comes back": {
			{"ann", optIn, "Pending"},
			{"tpa", phase("Active"), "Active"},
			{"tpa", phase("Restoring"), "Restoring"},
			{"ann", other, "Restoring"},
			{"tpa", phase("Active"), "Active"},
			{"tpa", phase("Restoring"), "Restoring"},
			{"tpa", release, ""},
			{"ann", other, "Pending"},
		},
		"step aside and come back": {
			{"ann", optIn, "Pending"},
			{"tpa", ports, "Pending"},
			{"tpa", phase("Active"), "Active"},
			{"tpa", phase("Pending"), "Pending"},
			{"ann", other, "Pending"},
			{"tpa", phase("Active"), "Active"},
		},
		"TPA lets a Pending Service go":          {{"ann", optIn, "Pending"}, {"tpa", release, ""}},
		"TPA opts in what was annotated earlier": {{"tpa", func(s *corev1.Service) { optIn(s); phase("Pending")(s) }, "Pending"}},
		"nobody else activates":                  {{"ann", optIn, "Pending"}, {"ann", phase("Active"), "Pending"}},
		"nobody else releases": {
			{"ann", optIn, "Pending"},
			{"tpa", phase("Active"), "Active"},
			{"ann", release, "Active"},
			{"ann", phase("Pending"), "Active"},
			{"ann", phase("Restoring"), "Active"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			original := users().Annotate("example.com/note", "").Obj()
			delete(original.Annotations, contract.TargetKey)
			live := original
			for i, step := range steps {
				after, result := admit(t, Request{Old: live, New: edited(live, step.edit), FromTPA: step.who == "tpa"})
				if result.Phase != step.want {
					t.Fatalf("step %d: phase %q, want %q", i, result.Phase, step.want)
				}
				if got := contract.Phase(after.Annotations[contract.PhaseKey]); got != step.want {
					t.Fatalf("step %d: annotation %q, want %q", i, got, step.want)
				}
				if got := contract.IsProxySelector(after.Spec.Selector); got != step.want.Rewritten() {
					t.Fatalf("step %d: rewritten %v in phase %q", i, got, step.want)
				}
				if diff := cmp.Diff(original.Spec, userForm(t, after)); diff != "" {
					t.Fatalf("step %d: the original is not the user's (-want +got):\n%s", i, diff)
				}
				if step.want == "" {
					want := original.DeepCopy()
					want.Annotations = after.Annotations
					for _, key := range ownAnnotations {
						if _, left := after.Annotations[key]; left {
							t.Errorf("step %d: %s is left", i, key)
						}
					}
					want.ResourceVersion = after.ResourceVersion
					if diff := cmp.Diff(want, after); diff != "" {
						t.Fatalf("step %d: something is left (-want +got):\n%s", i, diff)
					}
				}
				live = committed(after)
			}
		})
	}
}

func TestImpossibleSteps(t *testing.T) {
	for name, tt := range map[string]struct {
		from contract.Phase
		edit func(*corev1.Service)
	}{
		"a Pending Service has nothing to restore": {contract.Pending, phase("Restoring")},
		"no such phase": {contract.Active, phase("Asleep")},
	} {
		t.Run(name, func(t *testing.T) {
			old := active().Managed(tt.from, "80:20001,81:20002", active().Annotations[contract.OriginalKey]).Obj()
			_, _, err := tryAdmit(t, Request{Old: old, New: edited(old, tt.edit), FromTPA: true})
			if err == nil || !strings.Contains(err.Error(), "metadata.annotations[tpa.dev/phase]") {
				t.Fatalf("got %v, want an error that names the phase", err)
			}
		})
	}
}

// TestActive is the one request in which everything changes.
func TestActive(t *testing.T) {
	pending, _ := admit(t, Request{Old: edited(users().Obj(), unset(contract.TargetKey)), New: users().Obj()})
	got, _ := admit(t, Request{
		Old: committed(pending), FromTPA: true,
		New: edited(committed(pending), func(svc *corev1.Service) {
			svc.Annotations[contract.PhaseKey] = string(contract.Active)
			svc.Annotations[contract.PortsKey] = "80:20001"
		}),
	})
	want := committed(active().Obj())
	want.Annotations[contract.PortsKey] = "80:20001"
	want.Annotations[contract.OriginalKey] = pending.Annotations[contract.OriginalKey]
	want.Spec.Ports[1].TargetPort = intstrOf(contract.PendingTargetPort)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
