//go:build integration

package truth

import (
	"k8s.io/apimachinery/pkg/util/intstr"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// manifest is a Service as a person writes it: what it does not name is not sent.
type manifest = applycorev1.ServiceApplyConfiguration

// name is that of every Service; each has a namespace of its own.
const name = "web"

// base is the Service that every row begins with.
func base(namespace string) *manifest {
	return applycorev1.Service(name, namespace).
		WithLabels(map[string]string{"team": "shop"}).
		WithAnnotations(map[string]string{contract.TargetKey: "web", "example.com/note": "x"}).
		WithSpec(applycorev1.ServiceSpec().
			WithSelector(map[string]string{"app": "web", "tier": "a"}).
			WithPorts(port("http", 80, "http"), port("admin", 81, "9000")))
}

// slots are what the controller gives to that Service.
const slots = "80:20001,81:20002"

func port(name string, number int32, target string) *applycorev1.ServicePortApplyConfiguration {
	return applycorev1.ServicePort().WithName(name).WithPort(number).WithTargetPort(intstr.Parse(target))
}

// edit is what a person changes, in a manifest or in what an editor shows.
type edit struct {
	name string
	do   func(m *manifest)
	// patch is what `kubectl patch` gets for the same.
	patch string
}

// by is the edit as a patch.
func (e edit) by(patch string) edit {
	e.patch = patch
	return e
}

var (
	sameAgain      = edit{name: "same again", do: func(*manifest) {}}
	unrelated      = edit{name: "unrelated change", do: func(m *manifest) { m.Labels["team"] = "billing" }}
	keyChanged     = edit{name: "selector key changed", do: func(m *manifest) { m.Spec.Selector["tier"] = "b" }}
	keyAdded       = edit{name: "selector key added", do: func(m *manifest) { m.Spec.Selector["track"] = "x" }}
	keyDropped     = edit{name: "selector key dropped", do: func(m *manifest) { m.Spec.Selector = map[string]string{"app": "web"} }}
	noSelector     = edit{name: "selector dropped", do: func(m *manifest) { m.Spec.Selector = nil }}
	portAdded      = edit{name: "port added", do: func(m *manifest) { m.Spec.WithPorts(port("metrics", 82, "9100")) }}
	portRemoved    = edit{name: "port removed", do: func(m *manifest) { m.Spec.Ports = m.Spec.Ports[:1] }}
	portRenumbered = edit{name: "port number changed", do: func(m *manifest) { m.Spec.Ports[0].WithPort(8080) }}
	retargeted     = edit{name: "targetPort changed", do: func(m *manifest) { m.Spec.Ports[0].WithTargetPort(intstr.FromInt32(8000)) }}
	noTargetPort   = edit{name: "targetPort dropped", do: func(m *manifest) { m.Spec.Ports[0].TargetPort = nil }}
	optedOut       = edit{name: "annotation removed", do: func(m *manifest) { delete(m.Annotations, contract.TargetKey) }}
	// optedIn is played where the annotation was removed before, and nowhere else; optedOut is played everywhere else.
	optedIn = edit{name: "annotation put back", do: func(m *manifest) { m.WithAnnotations(map[string]string{contract.TargetKey: "web"}) }}
)

var edits = []edit{
	sameAgain, unrelated, keyChanged, keyAdded, keyDropped, noSelector,
	portAdded, portRemoved, portRenumbered, retargeted, noTargetPort, optedOut, optedIn,
}
