package rewrite

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// TestCreate: a plain annotated Service, and what an export of a rewritten one may have kept.
func TestCreate(t *testing.T) {
	plain, _ := admit(t, Request{New: users().Obj()})
	exported := func() *ServiceWrapper {
		w := active()
		w.ResourceVersion = ""
		return w
	}
	for name, tt := range map[string]struct {
		svc   *corev1.Service
		phase contract.Phase
		warns string
	}{
		"plain":                     {users().Obj(), "Pending", ""},
		"exported":                  {exported().Obj(), "Pending", "exported while TPA had rewritten it"},
		"exported, the slots gone":  {edited(exported().Obj(), unset(contract.PortsKey)), "Pending", "exported"},
		"exported, a port pending":  {edited(exported().Obj(), func(s *corev1.Service) { s.Spec.Ports[1].TargetPort = intstrOf("tpa-pending") }), "Pending", "exported"},
		"exported, without target":  {edited(exported().Obj(), unset(contract.TargetKey)), "", "exported"},
		"exported while Pending":    {plain, "Pending", ""},
		"a phase of one's own":      {users().Annotate(contract.PhaseKey, "Active").Obj(), "Pending", "tpa.dev/phase: only TPA"},
		"an original of one's own":  {users().Annotate(contract.OriginalKey, `{"selector":{"a":"b"}}`).Obj(), "Pending", "tpa.dev/original: only TPA"},
		"slots of one's own":        {users().Annotate(contract.PortsKey, "80:20009").Obj(), "Pending", "tpa.dev/ports: only TPA"},
		"nonsense in TPA's own":     {users().Annotate(contract.OriginalKey, "\x00").Annotate(contract.PortsKey, "{").Obj(), "Pending", "only TPA"},
		"exported and edited by us": {edited(exported().Obj(), func(s *corev1.Service) { s.Spec.Selector = users().Spec.Selector }), "Pending", "only TPA"},
	} {
		t.Run(name, func(t *testing.T) {
			after, result := admit(t, Request{New: tt.svc})
			if result.Phase != tt.phase {
				t.Errorf("phase %q, want %q", result.Phase, tt.phase)
			}
			if got := strings.Join(result.Warnings, "\n"); (got == "") != (tt.warns == "") || !strings.Contains(got, tt.warns) {
				t.Errorf("warnings %q, want %q", got, tt.warns)
			}
			if diff := cmp.Diff(users().Spec, after.Spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
			if _, ok := after.Annotations[contract.PortsKey]; ok {
				t.Error("a new Service has slots")
			}
			if tt.phase != "" && after.Annotations[contract.OriginalKey] != plain.Annotations[contract.OriginalKey] {
				t.Errorf("original %s", after.Annotations[contract.OriginalKey])
			}
		})
	}
}

func TestCreateRejected(t *testing.T) {
	for name, tt := range map[string]struct {
		svc  *corev1.Service
		want string
	}{
		"exported, the original gone": {edited(active().Obj(), unset(contract.OriginalKey)), "spec.selector: Invalid value"},
		"exported, the original unusable": {
			edited(active().Obj(), set(contract.OriginalKey, `{"selector":{"tpa.dev/proxy":"x"}}`)), "write the selector of your pods",
		},
		"exported, a port gone from the original": {
			edited(active().Obj(), set(contract.OriginalKey, `{"selector":{"a":"b"},"targetPorts":{"80":"http"}}`)),
			"spec.ports[1].targetPort: Invalid value: \"20002\"",
		},
		"TPA's key among one's own": {
			users().Select("app", "web", contract.SelectorKey, "tpa-proxy").Obj(), "spec.selector[tpa.dev/proxy]",
		},
		"TPA's placeholder": {users().NamedPort("x", 82, contract.PendingTargetPort).Obj(), "spec.ports[2].targetPort"},
		"TPA's range":       {users().NamedPort("x", 82, "20000").Obj(), "spec.ports[2].targetPort"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := tryAdmit(t, Request{New: tt.svc})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}
