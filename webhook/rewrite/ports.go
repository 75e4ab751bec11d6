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

// originalOf finds the original targetPort of a rewritten port. An editor may have changed the port's number or name
// and kept the slot, so the slot leads; the controller changes slots, never ports.
func (m memory) originalOf(req Request, port corev1.ServicePort) (intstr.IntOrString, bool) {
	if port.TargetPort.Type == intstr.Int && !req.FromTPA {
		if number, ok := portOf(m.ports, port.TargetPort.IntVal); ok {
			if target, ok := m.original.TargetPorts[number]; ok {
				return target, true
			}
		}
	}
	if target, ok := m.original.TargetPorts[port.Port]; ok {
		return target, true
	}
	target, ok := m.original.TargetPorts[m.numberOf(port.Name)]
	return target, ok
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
	// Who names a slot or is the same port comes first, then who was renumbered, then who has the name.
	ports := req.New.Spec.Ports
	for _, port := range ports {
		_, named := portOf(m.ports, port.TargetPort.IntVal)
		if !named || port.TargetPort.Type != intstr.Int || m.ports[port.Port] == port.TargetPort.IntVal {
			claim(port, m.ports[port.Port])
		}
	}
	for _, port := range ports {
		if _, named := portOf(m.ports, port.TargetPort.IntVal); named && port.TargetPort.Type == intstr.Int {
			claim(port, port.TargetPort.IntVal)
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
