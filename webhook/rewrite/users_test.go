package rewrite

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

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

// people reach a Service with kubectl, GitOps, or a program of their own.
var people = []client{
	// replace (PUT), sometimes without what TPA wrote
	func(w *world) (string, func(*corev1.Service)) {
		spec, bare := w.randomSpec(), w.dice.roll(2) == 0
		return fmt.Sprintf("replace by %s, bare %v", showSpec(spec), bare), func(svc *corev1.Service) {
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
		return "server-side apply " + showSpec(spec), func(svc *corev1.Service) {
			svc.Spec.Selector = maps.Clone(spec.Selector)
			svc.Spec.Ports = slices.Clone(spec.Ports)
		}
	},
	// client-side apply
	func(w *world) (string, func(*corev1.Service)) {
		manifest, merge := w.threeWay()
		text, _ := json.Marshal(manifest)
		return "client-side apply " + showSpec(manifest.Spec), func(svc *corev1.Service) {
			merge(svc)
			svc.Annotations[corev1.LastAppliedConfigAnnotation] = string(text)
		}
	},
	// kubectl patch of one selector key
	func(w *world) (string, func(*corev1.Service)) {
		key, value := w.label(), w.label()
		return "patch " + key + "=" + value, func(svc *corev1.Service) { svc.Spec.Selector[key] = value }
	},
}

// anybody is what may come in between, whoever else is there.
var anybody = []client{
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
	// kubectl patch of a targetPort
	func(w *world) (string, func(*corev1.Service)) {
		i, target := w.dice.roll(8), intstr.FromInt32(int32(1+w.dice.roll(20)))
		return fmt.Sprintf("patch targetPort %d: %s", i, target.String()), func(svc *corev1.Service) {
			svc.Spec.Ports[i%len(svc.Spec.Ports)].TargetPort = target
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

// helm upgrades a release. It leaves no manifest on the Service, so where others change the selector too nothing can
// tell which keys it knew; here nobody does.
var helm = []client{upgrade, upgrade, upgrade}

func upgrade(w *world) (string, func(*corev1.Service)) {
	manifest, merge := w.threeWay()
	return "helm upgrade " + showSpec(manifest.Spec), func(svc *corev1.Service) {
		merge(svc)
		owns("helm")(svc)
	}
}

// threeWay makes a manifest, often much like the last one, and returns what a client does that merges it with that one
// and with what it finds.
func (w *world) threeWay() (*corev1.Service, func(*corev1.Service)) {
	manifest := &corev1.Service{Spec: w.randomSpec()}
	previous := w.applied
	if previous != nil && w.dice.roll(2) == 0 {
		manifest = previous.DeepCopy()
		if w.dice.roll(2) == 0 {
			manifest.Spec.Selector[w.label()] = w.label()
		}
	}
	return manifest, func(svc *corev1.Service) {
		if previous != nil {
			maps.DeleteFunc(svc.Spec.Selector, func(key, _ string) bool {
				_, had := previous.Spec.Selector[key]
				_, has := manifest.Spec.Selector[key]
				return had && !has
			})
		}
		maps.Copy(svc.Spec.Selector, manifest.Spec.Selector)
		svc.Spec.Ports = slices.Clone(manifest.Spec.Ports)
		w.applied = manifest
	}
}

func showSpec(spec corev1.ServiceSpec) string { return show(spec.Selector) + " " + showPorts(spec) }
