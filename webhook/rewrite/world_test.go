package rewrite

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// world is one Service and what would have become of it without TPA. Clients change both in their own way; the webhook
// sees the one only.
type world struct {
	t       testing.TB
	dice    *dice
	live    *corev1.Service // as the API server has it
	without *corev1.Service // as it would be without TPA
	applied *corev1.Service // what client-side apply, or Helm, sent last
	users   []client        // who may change this Service
	given   map[int32]bool  // slots that the controller ever gave to this Service
	log     []string

	taken, rewritten int // requests admitted, and those of them that found a rewritten Service
}

func (w *world) label() string { return string(rune('a' + w.dice.roll(4))) }

// randomSpec has at least one selector key and one port; numbers and names are few, so that they meet again. What TPA
// leaves alone is there to see that it does.
func (w *world) randomSpec() corev1.ServiceSpec {
	spec := corev1.ServiceSpec{Selector: map[string]string{}, Type: corev1.ServiceTypeClusterIP}
	if w.dice.roll(3) == 0 {
		spec.Type, spec.SessionAffinity = corev1.ServiceTypeNodePort, corev1.ServiceAffinityClientIP
	}
	for range 1 + w.dice.roll(3) {
		spec.Selector[w.label()] = w.label()
	}
	for range 1 + w.dice.roll(3) {
		port := corev1.ServicePort{
			Name: w.label(), Port: int32(80 + w.dice.roll(5)), Protocol: corev1.ProtocolTCP,
			TargetPort: intstr.FromInt32(int32(1 + w.dice.roll(20))),
		}
		if w.dice.roll(2) == 0 {
			port.TargetPort = intstr.FromString("p" + w.label())
		}
		if spec.Type == corev1.ServiceTypeNodePort {
			port.NodePort = 30000 + port.Port
		}
		if !slices.ContainsFunc(spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port.Port || p.Name == port.Name }) {
			spec.Ports = append(spec.Ports, port)
		}
	}
	return spec
}

// valid is the API server's own look at the result.
func valid(svc *corev1.Service) bool {
	numbers, names := map[int32]bool{}, map[string]bool{}
	for _, port := range svc.Spec.Ports {
		if numbers[port.Port] || names[port.Name] {
			return false
		}
		numbers[port.Port], names[port.Name] = true, true
	}
	return len(svc.Spec.Ports) > 0
}

// dice reads choices from fuzz input; an empty one always rolls 0.
type dice struct{ bytes []byte }

func (d *dice) roll(sides int) int {
	if len(d.bytes) == 0 {
		return 0
	}
	b := d.bytes[0]
	d.bytes = d.bytes[1:]
	return int(b) % sides
}
