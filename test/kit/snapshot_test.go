package kit

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

func TestRestored(t *testing.T) {
	before := Snap(App{Name: "web"}.Service(nil))
	for _, test := range []struct {
		name   string
		change func(*corev1.Service)
		want   string // in the error; empty: none
	}{
		{"the same", func(*corev1.Service) {}, ""},
		{"the user's own annotation", func(s *corev1.Service) {
			s.Annotations = map[string]string{contract.IdleTimeoutKey: "5m"}
		}, ""},
		{"selector", func(s *corev1.Service) { s.Spec.Selector = contract.ProxySelector() }, contract.SelectorKey},
		{"targetPort", func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromInt32(8080) }, "8080"},
		{"another field", func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP }, "ClientIP"},
		{"phase", func(s *corev1.Service) { s.Annotations = map[string]string{contract.PhaseKey: ""} }, contract.PhaseKey},
		{"label", func(s *corev1.Service) { s.Labels[contract.ManagedLabel] = "true" }, contract.ManagedLabel},
	} {
		s := App{Name: "web"}.Service(nil)
		test.change(s)
		err := before.Restored(s)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", test.name, err, test.want)
		}
	}
}
