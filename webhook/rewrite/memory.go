package rewrite

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

// memory is what TPA noted on a Service before this request.
type memory struct {
	// phase is the predecessor's; empty when it was unmanaged.
	phase contract.Phase
	// original is the zero value where no usable one is left.
	original contract.Original
	// note is the annotation that original was read from; empty when it has to be written anew.
	note string
	// ports are the slots of the Service ports in spec.
	ports contract.Ports
	spec  []corev1.ServicePort
}

// note is the stored form of an original.
//
// A request may pass twice: another webhook changed the object after us, and so we are asked again, now with our own
// answer in New. If that answer changed the original, it looks just like a user who edited the annotation. Since tells
// the two apart: our answer names the resourceVersion of the predecessor that it was given for.
type note struct {
	contract.Original
	Since string `json:"since,omitempty"`
}

// usable reports whether there is an original to go back to.
func (m memory) usable() bool { return len(m.original.Selector) > 0 }

func remember(req Request) memory {
	if req.Old == nil || phaseOf(req.Old) == "" {
		m := recall(req.New)
		m.note = ""
		return m
	}
	m := recall(req.Old)
	if answered(req, m) {
		m = recall(req.New)
	}
	if !m.usable() {
		m.original, _ = contract.ParseOriginal(req.New.Annotations[contract.OriginalKey])
	}
	m.phase = phaseOf(req.Old)
	return m
}

// recall reads TPA's annotations. An unreadable one counts as none.
func recall(svc *corev1.Service) memory {
	m := memory{ports: slotsOf(svc), spec: svc.Spec.Ports}
	text := svc.Annotations[contract.OriginalKey]
	if original, err := contract.ParseOriginal(text); err == nil {
		m.original, m.note = original, text
	}
	return m
}

// slotsOf returns the slots of a Service. Where the annotation is not readable, the live targetPorts of a rewritten
// Service still tell them.
func slotsOf(svc *corev1.Service) contract.Ports {
	if text, ok := svc.Annotations[contract.PortsKey]; ok {
		if ports, err := contract.ParsePorts(text); err == nil {
			return ports
		}
	}
	ports, seen := contract.Ports{}, map[int32]bool{}
	if !contract.IsProxySelector(svc.Spec.Selector) {
		return ports
	}
	for _, port := range svc.Spec.Ports {
		slot := port.TargetPort.IntVal
		if isTCP(port) && port.TargetPort.Type == intstr.Int && contract.InPortRange(slot) && !seen[slot] {
			ports[port.Port], seen[slot] = slot, true
		}
	}
	return ports
}

// answered reports whether New holds our own answer to this very request.
func answered(req Request, old memory) bool {
	text := req.New.Annotations[contract.OriginalKey]
	var n note
	if !strings.Contains(text, `"since"`) || json.Unmarshal([]byte(text), &n) != nil ||
		n.Since == "" || n.Since != req.Old.ResourceVersion {
		return false
	}
	if _, err := contract.ParseOriginal(text); err != nil {
		return false
	}
	// We hand out no slot that the Service did not have; only the controller does.
	for _, slot := range slotsOf(req.New) {
		if _, mine := portOf(old.ports, slot); !mine && !req.FromTPA {
			return false
		}
	}
	return true
}

// text returns the annotation that notes an original. It stays as it is while nothing changed, so that a Service that is
// applied again and again keeps its resourceVersion. A port of another name is a change too: being asked again, we find
// rewritten ports by their numbers and names.
func (m memory) text(req Request, original contract.Original) string {
	samePort := func(a, b corev1.ServicePort) bool { return a.Port == b.Port && a.Name == b.Name }
	if m.note != "" && m.original.String() == original.String() && slices.EqualFunc(m.spec, req.New.Spec.Ports, samePort) {
		return m.note
	}
	n := note{Original: original}
	if req.Old != nil {
		n.Since = req.Old.ResourceVersion
	}
	b, _ := json.Marshal(n) // strings, integers and IntOrString always encode
	return string(b)
}
