package rewrite

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

// world is one Service and what would have become of it without TPA. Clients change both in their own way; the webhook
// sees the one only.
type world struct {
	t       testing.TB
	dice    *dice
	live    *corev1.Service // as the API server has it
	without *corev1.Service // as it would be without TPA
	applied *corev1.Service // what client-side apply sent last
	given   map[int32]bool  // slots that the controller ever gave to this Service
	log     []string

	taken, rewritten int // requests admitted, and those of them that found a rewritten Service
}

// client is one way to change a Service. It returns what it does to an object that it finds on the server: to the live
// one and to the one without TPA alike.
type client func(w *world) (name string, change func(svc *corev1.Service))

// controller is what TPA's controller may do; it knows nothing of the world without it.
var controller = []client{allocate, allocate, activate, activate, activate, activate, stepAside, beginToRestore, release}

func allocate(w *world) (string, func(*corev1.Service)) {
	ports := contract.Ports{}
	for _, port := range w.live.Spec.Ports {
		if w.dice.roll(4) > 0 {
			slot := contract.PortMin + int32(w.dice.roll(200))
			if _, twice := portOf(ports, slot); !twice {
				ports[port.Port] = slot
				w.given[slot] = true
			}
		}
	}
	return "allocate " + ports.String(), set(contract.PortsKey, ports.String())
}

func activate(*world) (string, func(*corev1.Service))  { return "activate", phase(contract.Active) }
func stepAside(*world) (string, func(*corev1.Service)) { return "step aside", phase(contract.Pending) }
func release(*world) (string, func(*corev1.Service))   { return "release", unset(contract.PhaseKey) }

func beginToRestore(*world) (string, func(*corev1.Service)) {
	return "begin to restore", phase(contract.Restoring)
}

// anyUser is what people, GitOps and other controllers do.
var anyUser = []client{
	// replace (PUT), sometimes without what TPA wrote
	func(w *world) (string, func(*corev1.Service)) {
		spec, bare := w.randomSpec(), w.dice.roll(2) == 0
		return fmt.Sprintf("replace by %s %s, bare %v", show(spec.Selector), showPorts(spec), bare), func(svc *corev1.Service) {
			svc.Spec = *spec.DeepCopy()
			if bare {
				delete(svc.Labels, contract.ManagedLabel)
				for _, key := range ownAnnotations {
					delete(svc.Annotations, key)
				}
			}
		}
	},
	// server-side apply: the selector is atomic, ports go by number, what is not named stays
	func(w *world) (string, func(*corev1.Service)) {
		spec := w.randomSpec()
		return fmt.Sprintf("server-side apply %s %s", show(spec.Selector), showPorts(spec)), func(svc *corev1.Service) {
			svc.Spec.Selector = maps.Clone(spec.Selector)
			svc.Spec.Ports = slices.Clone(spec.Ports)
		}
	},
	// client-side apply: a three-way merge of the manifest, the previous manifest and what is there
	func(w *world) (string, func(*corev1.Service)) {
		manifest := &corev1.Service{Spec: w.randomSpec()}
		previous := w.applied
		if previous != nil && w.dice.roll(2) == 0 {
			manifest = previous.DeepCopy()
			if w.dice.roll(2) == 0 {
				manifest.Spec.Selector[w.label()] = w.label()
			}
		}
		text, _ := json.Marshal(manifest)
		return fmt.Sprintf("client-side apply %s %s", show(manifest.Spec.Selector), showPorts(manifest.Spec)),
			func(svc *corev1.Service) {
				if previous != nil {
					for key := range previous.Spec.Selector {
						if _, kept := manifest.Spec.Selector[key]; !kept {
							delete(svc.Spec.Selector, key)
						}
					}
				}
				maps.Copy(svc.Spec.Selector, manifest.Spec.Selector)
				svc.Spec.Ports = slices.Clone(manifest.Spec.Ports)
				svc.Annotations[corev1.LastAppliedConfigAnnotation] = string(text)
				w.applied = manifest
			}
	},
	// kubectl patch of one selector key
	func(w *world) (string, func(*corev1.Service)) {
		key, value := w.label(), w.label()
		return "patch " + key + "=" + value, func(svc *corev1.Service) { svc.Spec.Selector[key] = value }
	},
	// kubectl edit of a port's number, name or both: its targetPort stays what is seen
	func(w *world) (string, func(*corev1.Service)) {
		i, number, name := w.dice.roll(8), int32(w.dice.roll(9)+80), w.label()
		how := w.dice.roll(3)
		return fmt.Sprintf("edit port %d: %s %d (%d)", i, name, number, how), func(svc *corev1.Service) {
			port := &svc.Spec.Ports[i%len(svc.Spec.Ports)]
			if how != 0 {
				port.Name = name
			}
			if how != 1 {
				port.Port = number
			}
		}
	},
	// kubectl edit: two ports swap their numbers
	func(w *world) (string, func(*corev1.Service)) {
		return "edit: swap numbers", func(svc *corev1.Service) {
			ports := svc.Spec.Ports
			last := len(ports) - 1
			ports[0].Port, ports[last].Port = ports[last].Port, ports[0].Port
		}
	},
	// somebody who does not care about spec
	func(w *world) (string, func(*corev1.Service)) {
		value := w.label()
		return "annotate", set("example.com/note", value)
	},
	// who meddles with what TPA wrote
	func(w *world) (string, func(*corev1.Service)) {
		key := ownAnnotations[w.dice.roll(len(ownAnnotations))]
		values := []string{
			"", "{", "Active", "Pending", "Restoring", "80:20001", "80:20150,81:20151", `{"selector":{"a":"x"}}`,
			`{"selector":{"a":"x"},"targetPorts":{"80":1,"81":2,"82":3}}`, `{"selector":null,"since":"1"}`,
		}
		value := values[w.dice.roll(len(values))]
		return "forge " + key + "=" + value, func(svc *corev1.Service) {
			if svc == w.without {
				return
			}
			if value == "" {
				delete(svc.Annotations, key)
			} else {
				svc.Annotations[key] = value
			}
		}
	},
	func(*world) (string, func(*corev1.Service)) { return "opt in", set(contract.TargetKey, "web") },
	func(*world) (string, func(*corev1.Service)) { return "opt in", set(contract.TargetKey, "web") },
	func(*world) (string, func(*corev1.Service)) { return "opt out", unset(contract.TargetKey) },
}

func (w *world) label() string { return string(rune('a' + w.dice.roll(4))) }

// randomSpec has at least one selector key and one port; numbers and names are few, so that they meet again.
func (w *world) randomSpec() corev1.ServiceSpec {
	spec := corev1.ServiceSpec{Selector: map[string]string{}}
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
