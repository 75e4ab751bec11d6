//go:build integration

package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

func same(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func families(policy corev1.IPFamilyPolicy, families ...corev1.IPFamily) edit {
	return func(s *corev1.Service) { s.Spec.IPFamilyPolicy, s.Spec.IPFamilies = &policy, families }
}

// TestHandled: what a Service has beside its selector and targetPorts stays as it is, from before the opt-in until after
// the opt-out.
func TestHandled(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit edit
		// has looks for what the API server must have made of it.
		has func(corev1.ServiceSpec) bool
	}{
		{"ClusterIP", func(*corev1.Service) {}, func(s corev1.ServiceSpec) bool { return s.ClusterIP != "" }},
		{"NodePort", kind("NodePort"), func(s corev1.ServiceSpec) bool { return s.Ports[0].NodePort > 0 }},
		{"LoadBalancer", kind("LoadBalancer"), func(s corev1.ServiceSpec) bool { return s.Ports[0].NodePort > 0 && *s.AllocateLoadBalancerNodePorts }},
		{"LoadBalancer, Local", both(externalLocal("LoadBalancer"), annotation(contract.AllowSourceIPLossKey, "true")), func(s corev1.ServiceSpec) bool { return s.HealthCheckNodePort > 0 }},
		{"LoadBalancer of a class", func(s *corev1.Service) { kind("LoadBalancer")(s); s.Spec.LoadBalancerClass = new("example.com/x") }, func(s corev1.ServiceSpec) bool { return s.LoadBalancerClass != nil }},
		{"source ranges", func(s *corev1.Service) {
			kind("LoadBalancer")(s)
			s.Spec.LoadBalancerSourceRanges = []string{"198.51.100.0/24"}
		}, func(s corev1.ServiceSpec) bool { return len(s.LoadBalancerSourceRanges) == 1 }},
		{"external IPs", func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"203.0.113.1"} }, func(s corev1.ServiceSpec) bool { return len(s.ExternalIPs) == 1 }},
		{"PreferDualStack", families("PreferDualStack"), func(s corev1.ServiceSpec) bool { return len(s.ClusterIPs) == 2 }},
		{"RequireDualStack", families("RequireDualStack"), func(s corev1.ServiceSpec) bool { return len(s.ClusterIPs) == 2 }},
		{"RequireDualStack, IPv6 first", families("RequireDualStack", "IPv6", "IPv4"), func(s corev1.ServiceSpec) bool { return s.IPFamilies[0] == "IPv6" }},
		{"IPv6 alone", families("SingleStack", "IPv6"), func(s corev1.ServiceSpec) bool { return len(s.ClusterIPs) == 1 && s.IPFamilies[0] == "IPv6" }},
		{"session affinity", func(s *corev1.Service) { s.Spec.SessionAffinity = "ClientIP" }, func(s corev1.ServiceSpec) bool { return s.SessionAffinityConfig != nil }},
		{"traffic distribution", func(s *corev1.Service) {
			s.Spec.TrafficDistribution = new(corev1.ServiceTrafficDistributionPreferClose)
		}, func(s corev1.ServiceSpec) bool { return s.TrafficDistribution != nil }},
		{"named and numbered targetPorts", ports(
			corev1.ServicePort{Name: "a", Port: 80, TargetPort: intstr.FromString("http"), AppProtocol: new("http")},
			corev1.ServicePort{Name: "b", Port: 81, TargetPort: intstr.FromInt32(9000)},
			corev1.ServicePort{Name: "c", Port: 82}),
			func(s corev1.ServiceSpec) bool { return s.Ports[2].TargetPort == intstr.FromInt32(82) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openShop(t)
			manifest := s.manifest()
			tt.edit(manifest)
			s.passes(s.yaml(manifest), "create", "-f", "-")
			before := s.get("web")
			if !tt.has(before.Spec) {
				t.Fatalf("the API server made %+v of it", before.Spec)
			}
			rewritten, slots := *before.Spec.DeepCopy(), contract.Ports{}
			rewritten.Selector = contract.ProxySelector()
			for i := range rewritten.Ports {
				slots[rewritten.Ports[i].Port] = int32(contract.PortMin + i)
				rewritten.Ports[i].TargetPort = intstr.FromInt32(int32(contract.PortMin + i))
			}

			s.passes("", "annotate", "service", "web", contract.TargetKey+"=web")
			same(t, before.Spec, s.get("web").Spec)
			same(t, rewritten, s.phase("web", contract.Active, slots).Spec)
			s.passes("", "label", "service", "web", "team=a")
			same(t, rewritten, s.get("web").Spec)
			s.passes("", "annotate", "service", "web", contract.TargetKey+"-")
			same(t, rewritten, s.get("web").Spec)
			s.phase("web", "", nil)
			after := s.get("web")
			same(t, before.Spec, after.Spec)
			before.Labels = map[string]string{"team": "a"}
			same(t, before.Labels, after.Labels)
			same(t, before.Annotations, after.Annotations)
		})
	}
}

func kind(k corev1.ServiceType) edit { return func(s *corev1.Service) { s.Spec.Type = k } }

func both(a, b edit) edit { return func(s *corev1.Service) { a(s); b(s) } }

func ports(ports ...corev1.ServicePort) edit {
	return func(s *corev1.Service) { s.Spec.Ports = ports }
}
