package rewrite

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tpa.dev/tpa/proxy/contract"
)

// userTargetPorts reads the targetPort that the user means for each port out of the one that the client sent.
func (m memory) userTargetPorts(req Request, phase contract.Phase) ([]intstr.IntOrString, field.ErrorList) {
	var errs field.ErrorList
	meant := make([]intstr.IntOrString, len(req.New.Spec.Ports))
	for i, port := range req.New.Spec.Ports {
		meant[i] = port.TargetPort
		path := field.NewPath("spec", "ports").Index(i).Child("targetPort")
		switch {
		case !isTCP(port):
		case m.isOurs(req, port.TargetPort):
			original, ok := m.originalOf(req, port)
			if !ok {
				errs = append(errs, field.Invalid(path, port.TargetPort.String(),
					"it is TPA's own and nothing tells which one it stands for: write the port of your pods"))
				continue
			}
			meant[i] = original
		case phase != "" && port.TargetPort.Type == intstr.Int && contract.InPortRange(port.TargetPort.IntVal):
			errs = append(errs, field.Invalid(path, port.TargetPort.String(), fmt.Sprintf(
				"%d-%d are TPA's own: name the port in the pod template and write its name", contract.PortMin, contract.PortMax)))
		}
	}
	return meant, errs
}

// isOurs reports whether a targetPort is TPA's rewrite of this Service, not somebody's wish.
func (m memory) isOurs(req Request, target intstr.IntOrString) bool {
	if target.Type == intstr.String {
		return target.StrVal == contract.PendingTargetPort
	}
	if _, ok := portOf(m.ports, target.IntVal); ok {
		return true
	}
	if m.phase == "" && isMarked(req.New.Spec.Selector) {
		return contract.InPortRange(target.IntVal) // an export, whatever its list of slots says
	}
	if !req.FromTPA {
		return false
	}
	_, ok := portOf(slotsOf(req.New), target.IntVal)
	return ok
}

// originalOf finds the original targetPort of a rewritten port.
func (m memory) originalOf(req Request, port corev1.ServicePort) (intstr.IntOrString, bool) {
	number := port.Port // the controller changes slots, never ports; an export is its own predecessor
	if !req.FromTPA && m.phase != "" {
		number = m.numberBefore(port)
	}
	target, ok := m.original.TargetPorts[number]
	return target, ok
}

// numberBefore returns the number that a rewritten port had before this request, or 0. An editor sees and keeps the
// rewritten targetPort and may change everything else of the port, so a slot leads. The placeholder is not that
// telling: it stands for a port that had no slot, and where its number is one such port's and its name another's, only
// the user knows.
func (m memory) numberBefore(port corev1.ServicePort) int32 {
	if slot, ok := m.slotIn(port); ok {
		number, _ := portOf(m.ports, slot)
		return number
	}
	var byNumber, byName int32
	for _, old := range m.spec {
		if _, ok := m.ports[old.Port]; ok || !isTCP(old) {
			continue
		}
		switch same := old.Name == port.Name; {
		case same && old.Port == port.Port:
			return old.Port
		case same:
			byName = old.Port
		case old.Port == port.Port:
			byNumber = old.Port
		}
	}
	if byNumber != 0 && byName != 0 {
		return 0
	}
	return byNumber + byName
}

// slotIn returns the slot of this Service that a port points at.
func (m memory) slotIn(port corev1.ServicePort) (int32, bool) {
	if port.TargetPort.Type != intstr.Int {
		return 0, false
	}
	_, ok := portOf(m.ports, port.TargetPort.IntVal)
	return port.TargetPort.IntVal, ok
}

// numberOf returns the number that the port of this name had, or 0. The one port of a Service may go without a name.
func (m memory) numberOf(name string) int32 {
	for _, port := range m.spec {
		if port.Name == name && isTCP(port) {
			return port.Port
		}
	}
	return 0
}

// slots returns the slots of the incoming Service ports. A Service keeps the slots that it has, so that renaming or
// renumbering a port interrupts nothing; a new one comes from the controller alone.
func (m memory) slots(req Request) (contract.Ports, *field.Error) {
	result := contract.Ports{}
	if req.FromTPA {
		asked := m.ports
		if text := req.New.Annotations[contract.PortsKey]; req.Old == nil || text != req.Old.Annotations[contract.PortsKey] {
			var err error
			if asked, err = contract.ParsePorts(text); err != nil {
				return nil, invalid(contract.PortsKey, text, err)
			}
		}
		for _, port := range req.New.Spec.Ports {
			if slot, ok := asked[port.Port]; ok && isTCP(port) {
				result[port.Port] = slot
			}
		}
		return result, nil
	}
	if m.phase == "" {
		return result, nil
	}

	taken := map[int32]bool{}
	claim := func(port corev1.ServicePort, slot int32) {
		if _, has := result[port.Port]; isTCP(port) && slot != 0 && !has && !taken[slot] {
			result[port.Port], taken[slot] = slot, true
		}
	}
	// First the ports that are the same as before, then who was renumbered, then who has the number or the name left.
	ports := req.New.Spec.Ports
	for _, port := range ports {
		slot, ok := m.slotIn(port)
		if ok && m.ports[port.Port] == slot || !ok && port.TargetPort.StrVal != contract.PendingTargetPort {
			claim(port, m.ports[port.Port])
		}
	}
	for _, port := range ports {
		if slot, ok := m.slotIn(port); ok {
			claim(port, slot)
		}
	}
	for _, port := range ports {
		claim(port, m.ports[port.Port])
		claim(port, m.ports[m.numberOf(port.Name)])
	}
	return result, nil
}

// rewrittenPorts returns the live targetPorts of a rewritten Service.
func rewrittenPorts(ports []corev1.ServicePort, slots contract.Ports) []intstr.IntOrString {
	live := make([]intstr.IntOrString, len(ports))
	for i, port := range ports {
		slot, ok := slots[port.Port]
		switch {
		case !isTCP(port):
			live[i] = port.TargetPort
		case ok:
			live[i] = intstr.FromInt32(slot)
		default:
			live[i] = intstr.FromString(contract.PendingTargetPort)
		}
	}
	return live
}

// portOf returns the Service port that has a slot.
func portOf(ports contract.Ports, slot int32) (int32, bool) {
	for port, s := range ports {
		if s == slot {
			return port, true
		}
	}
	return 0, false
}

func isTCP(port corev1.ServicePort) bool {
	return port.Protocol == corev1.ProtocolTCP || port.Protocol == ""
}
