package rewrite

import (
	"encoding/json"
	"strconv"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

// ServiceWrapper builds a Service for a test.
type ServiceWrapper struct{ corev1.Service }

// MakeService starts a ClusterIP Service without selector and ports.
func MakeService(name string) *ServiceWrapper {
	return &ServiceWrapper{corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", ResourceVersion: "1"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP},
	}}
}

func (w *ServiceWrapper) Obj() *corev1.Service { return w.DeepCopy() }

func (w *ServiceWrapper) Select(pairs ...string) *ServiceWrapper {
	w.Spec.Selector = pair(pairs)
	return w
}

// Port adds a TCP port; target is a number or a name.
func (w *ServiceWrapper) Port(number int32, target string) *ServiceWrapper {
	return w.NamedPort("", number, target)
}

func (w *ServiceWrapper) NamedPort(name string, number int32, target string) *ServiceWrapper {
	w.Spec.Ports = append(w.Spec.Ports, corev1.ServicePort{
		Name: name, Port: number, Protocol: corev1.ProtocolTCP, TargetPort: intstr.Parse(target),
	})
	return w
}

func (w *ServiceWrapper) Annotate(key, value string) *ServiceWrapper {
	metav1.SetMetaDataAnnotation(&w.ObjectMeta, key, value)
	return w
}

func (w *ServiceWrapper) Target(target string) *ServiceWrapper {
	return w.Annotate(contract.TargetKey, target)
}

// Managed adds what TPA writes: the phase, the slots and the original, such as `{"selector":…}`.
func (w *ServiceWrapper) Managed(phase contract.Phase, ports, original string) *ServiceWrapper {
	metav1.SetMetaDataLabel(&w.ObjectMeta, contract.ManagedLabel, contract.ManagedTrue)
	if ports != "" {
		w.Annotate(contract.PortsKey, ports)
	}
	return w.Annotate(contract.PhaseKey, string(phase)).Annotate(contract.OriginalKey, original)
}

// active is a Service in the middle of its life: rewritten, two ports, one of them by name.
func active() *ServiceWrapper {
	return MakeService("web").Target("web").Select(contract.SelectorKey, contract.SelectorValue).
		NamedPort("http", 80, "20001").NamedPort("admin", 81, "20002").
		Managed(contract.Active, "80:20001,81:20002",
			`{"selector":{"app":"web","tier":"a"},"targetPorts":{"80":"http","81":9000}}`)
}

// users is what the user of active wrote.
func users() *ServiceWrapper {
	return MakeService("web").Target("web").Select("app", "web", "tier", "a").
		NamedPort("http", 80, "http").NamedPort("admin", 81, "9000")
}

func pair(pairs []string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// edited returns a changed copy.
func edited(svc *corev1.Service, edit func(*corev1.Service)) *corev1.Service {
	svc = svc.DeepCopy()
	edit(svc)
	return svc
}

// admit runs Admit as the API server would: it applies the patch with a real JSON patch library, and asks again with the
// answer, which must change nothing. The inputs must be left alone.
func admit(t testing.TB, req Request) (*corev1.Service, Result) {
	t.Helper()
	after, result, err := tryAdmit(t, req)
	if err != nil {
		t.Fatalf("rejected: %v", err)
	}
	return after, result
}

func tryAdmit(t testing.TB, req Request) (*corev1.Service, Result, error) {
	t.Helper()
	before := Request{Old: req.Old.DeepCopy(), New: req.New.DeepCopy(), FromTPA: req.FromTPA}
	result, errs := Admit(req)
	if diff := cmp.Diff(before, req); diff != "" {
		t.Fatalf("Admit changed its input (-before +after):\n%s", diff)
	}
	if len(errs) > 0 {
		return nil, Result{}, errs.ToAggregate()
	}
	after := patched(t, req.New, result)

	typed := req.New.DeepCopy()
	d, _ := decide(req)
	d.want.apply(typed)
	if diff := cmp.Diff(roundTrip(t, typed), after); diff != "" {
		t.Fatalf("the patch and the typed change differ (-typed +patched):\n%s", diff)
	}

	again, errs := Admit(Request{Old: req.Old, New: after, FromTPA: req.FromTPA})
	if len(errs) > 0 {
		t.Fatalf("the own answer is rejected: %v\n%+v", errs.ToAggregate(), after)
	}
	if len(again.Patch) > 0 {
		t.Fatalf("the own answer is changed again: %+v\nof %+v", again.Patch, after)
	}
	return after, result, nil
}

func patched(t testing.TB, svc *corev1.Service, result Result) *corev1.Service {
	t.Helper()
	if len(result.Patch) == 0 {
		return roundTrip(t, svc)
	}
	ops, err := json.Marshal(result.Patch)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(ops)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := json.Marshal(svc)
	if err != nil {
		t.Fatal(err)
	}
	doc, err = patch.Apply(doc)
	if err != nil {
		t.Fatalf("apply %s: %v", ops, err)
	}
	return decode(t, doc)
}

// roundTrip drops the difference between a nil and an empty map, as a trip through the API server does.
func roundTrip(t testing.TB, svc *corev1.Service) *corev1.Service {
	t.Helper()
	doc, err := json.Marshal(svc)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, doc)
}

func decode(t testing.TB, doc []byte) *corev1.Service {
	t.Helper()
	svc := &corev1.Service{}
	if err := json.Unmarshal(doc, svc); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	if len(svc.Labels) == 0 {
		svc.Labels = nil
	}
	if len(svc.Annotations) == 0 {
		svc.Annotations = nil
	}
	return svc
}

// userForm is what a Service would be without TPA.
func userForm(t testing.TB, svc *corev1.Service) corev1.ServiceSpec {
	t.Helper()
	svc = svc.DeepCopy()
	if err := Restore(svc); err != nil {
		t.Fatalf("restore: %v", err)
	}
	return svc.Spec
}

// committed gives a Service the next resourceVersion.
func committed(svc *corev1.Service) *corev1.Service {
	svc = svc.DeepCopy()
	n, _ := strconv.Atoi(svc.ResourceVersion)
	svc.ResourceVersion = strconv.Itoa(n + 1)
	return svc
}
