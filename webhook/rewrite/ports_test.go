package rewrite

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// showPorts prints ports as "name 80→target".
func showPorts(spec corev1.ServiceSpec) string {
	var all []string
	for _, port := range spec.Ports {
		all = append(all, fmt.Sprintf("%s %d→%s", port.Name, port.Port, port.TargetPort.String()))
	}
	return strings.Join(all, ", ")
}

// TestTargetPorts: the user's ports are http 80→http, admin 81→9000, with the slots 20001 and 20002.
func TestTargetPorts(t *testing.T) {
	for _, tt := range []struct {
		client, does string
		edit         func(ports []corev1.ServicePort) []corev1.ServicePort
		meant, live  string
		slots        string
	}{
		{
			"anybody", "nothing",
			func(p []corev1.ServicePort) []corev1.ServicePort { return p },
			"http 80→http, admin 81→9000", "http 80→20001, admin 81→20002", "80:20001,81:20002",
		},
		{
			"apply", "same again",
			func(p []corev1.ServicePort) []corev1.ServicePort { return retarget(p, "http", "9000") },
			"http 80→http, admin 81→9000", "http 80→20001, admin 81→20002", "80:20001,81:20002",
		},
		{
			"apply", "targetPort changed",
			func(p []corev1.ServicePort) []corev1.ServicePort { return retarget(p, "http", "9001") },
			"http 80→http, admin 81→9001", "http 80→20001, admin 81→20002", "80:20001,81:20002",
		},
		{
			"apply", "targetPort dropped, defaulted to the port",
			func(p []corev1.ServicePort) []corev1.ServicePort { return retarget(p, "80", "20002") },
			"http 80→80, admin 81→9000", "http 80→20001, admin 81→20002", "80:20001,81:20002",
		},
		{
			"apply", "number changed",
			func(p []corev1.ServicePort) []corev1.ServicePort {
				p = retarget(p, "http", "9000")
				p[0].Port = 8080
				return p
			},
			"http 8080→http, admin 81→9000", "http 8080→20001, admin 81→20002", "81:20002,8080:20001",
		},
		{
			"apply", "numbers swapped",
			func(p []corev1.ServicePort) []corev1.ServicePort {
				p = retarget(p, "http", "9000")
				p[0].Port, p[1].Port = 81, 80
				return p
			},
			"http 81→http, admin 80→9000", "http 81→20002, admin 80→20001", "80:20001,81:20002",
		},
		{
			"edit", "number changed",
			func(p []corev1.ServicePort) []corev1.ServicePort { p[0].Port = 8080; return p },
			"http 8080→http, admin 81→9000", "http 8080→20001, admin 81→20002", "81:20002,8080:20001",
		},
		{
			"edit", "numbers swapped",
			func(p []corev1.ServicePort) []corev1.ServicePort { p[0].Port, p[1].Port = 81, 80; return p },
			"http 81→http, admin 80→9000", "http 81→20001, admin 80→20002", "80:20002,81:20001",
		},
		{
			"edit", "number and name changed",
			func(p []corev1.ServicePort) []corev1.ServicePort { p[0].Port, p[0].Name = 8080, "new"; return p },
			"new 8080→http, admin 81→9000", "new 8080→20001, admin 81→20002", "81:20002,8080:20001",
		},
		{
			"edit", "names swapped",
			func(p []corev1.ServicePort) []corev1.ServicePort { p[0].Name, p[1].Name = "admin", "http"; return p },
			"admin 80→http, http 81→9000", "admin 80→20001, http 81→20002", "80:20001,81:20002",
		},
		{
			"edit", "a port copied",
			func(p []corev1.ServicePort) []corev1.ServicePort {
				return append(p, corev1.ServicePort{Name: "too", Port: 82, TargetPort: p[0].TargetPort})
			},
			"http 80→http, admin 81→9000, too 82→http", "http 80→20001, admin 81→20002, too 82→tpa-pending", "80:20001,81:20002",
		},
		{
			"edit", "a port retargeted and its slot taken by a copy",
			func(p []corev1.ServicePort) []corev1.ServicePort {
				p = append([]corev1.ServicePort{{Name: "too", Port: 82, TargetPort: p[0].TargetPort}}, p...)
				p[1].TargetPort = intstrOf("8000")
				return p
			},
			"too 82→http, http 80→8000, admin 81→9000", "too 82→tpa-pending, http 80→20001, admin 81→20002", "80:20001,81:20002",
		},
		{
			"anybody", "a port added",
			func(p []corev1.ServicePort) []corev1.ServicePort {
				return append(p, corev1.ServicePort{Name: "new", Port: 82, TargetPort: intstrOf("8082")})
			},
			"http 80→http, admin 81→9000, new 82→8082", "http 80→20001, admin 81→20002, new 82→tpa-pending", "80:20001,81:20002",
		},
		{
			"anybody", "a port removed",
			func(p []corev1.ServicePort) []corev1.ServicePort { return p[1:] },
			"admin 81→9000", "admin 81→20002", "81:20002",
		},
		{
			"anybody", "all ports replaced",
			func([]corev1.ServicePort) []corev1.ServicePort {
				return []corev1.ServicePort{{Name: "x", Port: 1, TargetPort: intstrOf("2")}}
			},
			"x 1→2", "x 1→tpa-pending", "",
		},
	} {
		t.Run(tt.client+"/"+tt.does, func(t *testing.T) {
			old := active().Obj()
			after, result := admit(t, Request{Old: old, New: edited(old, func(svc *corev1.Service) {
				svc.Spec.Ports = tt.edit(svc.Spec.Ports)
			})})
			if got := showPorts(userForm(t, after)); got != tt.meant {
				t.Errorf("the user's ports: %s\nwant %s", got, tt.meant)
			}
			if got := showPorts(after.Spec); got != tt.live {
				t.Errorf("live ports: %s\nwant %s", got, tt.live)
			}
			if got := after.Annotations[contract.PortsKey]; got != tt.slots {
				t.Errorf("slots %s, want %s", got, tt.slots)
			}
			if len(result.Warnings) > 0 {
				t.Errorf("warnings: %q", result.Warnings)
			}
		})
	}
}

func retarget(ports []corev1.ServicePort, targets ...string) []corev1.ServicePort {
	for i, target := range targets {
		ports[i].TargetPort = intstrOf(target)
	}
	return ports
}

// TestOnePort: the only port of a Service may go without a name, and keeps its slot when its number changes.
func TestOnePort(t *testing.T) {
	old := MakeService("db").Target("statefulset/db").Select(contract.SelectorKey, contract.SelectorValue).Port(5432, "20005").
		Managed(contract.Active, "5432:20005", `{"selector":{"app":"db"},"targetPorts":{"5432":"pg"}}`).Obj()
	after, _ := admit(t, Request{Old: old, New: edited(old, func(svc *corev1.Service) {
		svc.Spec.Ports[0].Port = 5433
		svc.Spec.Ports[0].TargetPort = intstrOf("pg")
	})})
	if got, want := after.Annotations[contract.PortsKey], "5433:20005"; got != want {
		t.Errorf("slots %s, want %s", got, want)
	}
}

// TestReallocation: the controller may change slots at any time.
func TestReallocation(t *testing.T) {
	old := active().Obj()
	after, _ := admit(t, Request{Old: old, New: edited(old, set(contract.PortsKey, "80:20002,81:20001,99:20003")), FromTPA: true})
	if got, want := showPorts(after.Spec), "http 80→20002, admin 81→20001"; got != want {
		t.Errorf("live ports %s, want %s", got, want)
	}
	if got, want := showPorts(userForm(t, after)), "http 80→http, admin 81→9000"; got != want {
		t.Errorf("the user's ports %s, want %s", got, want)
	}
	if got, want := after.Annotations[contract.PortsKey], "80:20002,81:20001"; got != want {
		t.Errorf("slots %s, want %s: those of this Service's ports", got, want)
	}
}

// TestUnreadableSlots: the live Service still tells them.
func TestUnreadableSlots(t *testing.T) {
	old := edited(active().Obj(), set(contract.PortsKey, "eighty"))
	after, _ := admit(t, Request{Old: old, New: edited(old, set("example.com/note", "x"))})
	if got, want := after.Annotations[contract.PortsKey], "80:20001,81:20002"; got != want {
		t.Errorf("slots %s, want %s", got, want)
	}
}

func TestTargetPortsRejected(t *testing.T) {
	for name, tt := range map[string]struct {
		target string
		tpa    bool
		want   string
	}{
		"another Service's slot": {"20500", false, `spec.ports[0].targetPort: Invalid value: "20500": 20000-29999 are TPA's own`},
		"no port":                {"0", false, `spec.ports[0].targetPort: Invalid value: "0"`},
		"no port name":           {"no such name!", false, `spec.ports[0].targetPort: Invalid value: "no such name!"`},
		"slots that are none":    {"", true, `metadata.annotations[tpa.dev/ports]: Invalid value: "80:80"`},
	} {
		t.Run(name, func(t *testing.T) {
			old := active().Obj()
			_, _, err := tryAdmit(t, Request{Old: old, FromTPA: tt.tpa, New: edited(old, func(svc *corev1.Service) {
				if tt.tpa {
					svc.Annotations[contract.PortsKey] = "80:80"
				} else {
					svc.Spec.Ports[0].TargetPort = intstrOf(tt.target)
				}
			})})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}
