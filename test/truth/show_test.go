//go:build integration

package truth

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"tpa.dev/tpa/proxy/contract"
)

// show prints what TPA rewrites, such as "K app=web | http 80>T": K is TPA's selector key, T a targetPort of TPA's.
func show(spec corev1.ServiceSpec) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(spec.Selector)) {
		if key == contract.SelectorKey {
			words = slices.Insert(words, 0, "K")
			continue
		}
		words = append(words, key+"="+spec.Selector[key])
	}
	ports := make([]string, len(spec.Ports))
	for i, p := range spec.Ports {
		target := p.TargetPort.String()
		if p.TargetPort.Type == intstr.Int && contract.InPortRange(p.TargetPort.IntVal) {
			target = "T"
		}
		ports[i] = fmt.Sprintf("%s %d>%s", p.Name, p.Port, target)
	}
	return strings.Join(words, " ") + " | " + strings.Join(ports, ", ")
}

// meant is the spec that the user has by TPA's account.
func meant(svc *corev1.Service) (corev1.ServiceSpec, error) {
	spec := *svc.Spec.DeepCopy()
	phase := contract.Phase(svc.Annotations[contract.PhaseKey])
	if phase == "" {
		return spec, nil
	}
	original, err := contract.ParseOriginal(svc.Annotations[contract.OriginalKey])
	if err != nil {
		return spec, err
	}
	if phase == contract.Pending {
		if !maps.Equal(original.Selector, spec.Selector) {
			return spec, fmt.Errorf("original selector %v, live %v", original.Selector, spec.Selector)
		}
		return spec, nil
	}
	spec.Selector = original.Selector
	for i, p := range spec.Ports {
		target, ok := original.TargetPorts[p.Port]
		if !ok {
			return spec, fmt.Errorf("no original targetPort of port %d", p.Port)
		}
		spec.Ports[i].TargetPort = target
	}
	return spec, nil
}

// fits checks that TPA's own marks on a Service fit its phase.
func fits(svc *corev1.Service, phase contract.Phase) error {
	if got := contract.Phase(svc.Annotations[contract.PhaseKey]); got != phase {
		return fmt.Errorf("phase %q, want %q", got, phase)
	}
	if got := svc.Labels[contract.ManagedLabel] == contract.ManagedTrue; got != (phase != "") {
		return fmt.Errorf("labels %v in phase %q", svc.Labels, phase)
	}
	if got := contract.IsProxySelector(svc.Spec.Selector); got != phase.Rewritten() {
		return fmt.Errorf("selector %v in phase %q", svc.Spec.Selector, phase)
	}
	allocated, err := contract.ParsePorts(svc.Annotations[contract.PortsKey])
	if err != nil {
		return err
	}
	for _, p := range svc.Spec.Ports {
		want := intstr.FromString(contract.PendingTargetPort)
		if slot, ok := allocated[p.Port]; ok {
			want = intstr.FromInt32(slot)
		}
		if phase.Rewritten() && p.TargetPort != want {
			return fmt.Errorf("port %d has targetPort %s, want %s", p.Port, p.TargetPort.String(), want.String())
		}
	}
	return nil
}

// sameSpec compares what two users have; addresses are each Service's own.
func sameSpec(want, got corev1.ServiceSpec) string {
	for _, spec := range []*corev1.ServiceSpec{&want, &got} {
		spec.ClusterIP, spec.ClusterIPs = "", nil
	}
	return gocmp.Diff(want, got)
}

// sameNotes compares labels and annotations of a Service that was given back with its twin's. TPA leaves none of its
// own; the target is the user's, who may have opted out in another way.
func sameNotes(twin, svc *corev1.Service) string {
	notes := func(s *corev1.Service) map[string]string {
		all := maps.Clone(s.Labels)
		for key, value := range s.Annotations {
			if key != contract.TargetKey && key != "meta.helm.sh/release-namespace" {
				all[key] = strings.ReplaceAll(value, s.Namespace, "NAMESPACE")
			}
		}
		return all
	}
	return gocmp.Diff(notes(twin), notes(svc))
}

// sameObject compares what a dry run showed with what the request then gave, but for the version and times.
func sameObject(shown, got *corev1.Service) string {
	bare := func(s *corev1.Service) *corev1.Service {
		s = s.DeepCopy()
		s.TypeMeta, s.ResourceVersion = got.TypeMeta, ""
		for i := range s.ManagedFields {
			s.ManagedFields[i].Time = nil
			fields := &fieldpath.Set{} // kubectl prints keys in another order
			if fields.FromJSON(strings.NewReader(s.ManagedFields[i].FieldsV1.GetRawString())) == nil {
				text, _ := fields.ToJSON()
				s.ManagedFields[i].FieldsV1 = metav1.NewFieldsV1(string(text))
			}
		}
		slices.SortFunc(s.ManagedFields, func(a, b metav1.ManagedFieldsEntry) int { // the API server sorts by time
			return cmp.Or(strings.Compare(a.Manager, b.Manager), strings.Compare(string(a.Operation), string(b.Operation)))
		})
		return s
	}
	return gocmp.Diff(bare(shown), bare(got))
}
