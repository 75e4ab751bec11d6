package manifests

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// TestNetworkPolicies: the sample says of the proxies what the code does: their labels, their ports, and who is let in.
func TestNetworkPolicies(t *testing.T) {
	data, err := os.ReadFile("samples/networkpolicies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	policies := map[string]networkingv1.NetworkPolicySpec{}
	for _, doc := range bytes.Split(data, []byte("\n---\n")) {
		var policy networkingv1.NetworkPolicy
		if err := yaml.UnmarshalStrict(doc, &policy); err != nil {
			t.Fatal(err)
		}
		if policy.Namespace != "" {
			t.Errorf("%s names namespace %s: kubectl is told", policy.Name, policy.Namespace)
		}
		policies[policy.Name] = policy.Spec
	}
	pod := proxyTemplate(t)
	proxies := metav1.LabelSelector{MatchLabels: contract.ProxySelector()}
	selector, err := metav1.LabelSelectorAsSelector(&proxies)
	if err != nil || !selector.Matches(labels.Set(pod.Labels)) {
		t.Fatalf("%s does not select a pod with %v: %v", selector, pod.Labels, err)
	}
	admin := pod.Spec.Containers[0].Ports[0]
	if admin.ContainerPort != contract.AdminPort {
		t.Errorf("port %s is %d", admin.Name, admin.ContainerPort)
	}

	first, last, named := intstr.FromInt32(contract.PortMin), int32(contract.PortMax), intstr.FromString(admin.Name)
	https, apiServer := intstr.FromInt32(443), intstr.FromInt32(6443)
	want := map[string]networkingv1.NetworkPolicySpec{
		"tpa-proxy": {
			PodSelector: proxies,
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{
				{Ports: []networkingv1.NetworkPolicyPort{{Port: &first, EndPort: &last}}},
				{Ports: []networkingv1.NetworkPolicyPort{{Port: &named}}},
			},
			Egress: []networkingv1.NetworkPolicyEgressRule{
				{To: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}},
				{Ports: []networkingv1.NetworkPolicyPort{{Port: &https}, {Port: &apiServer}}},
			},
		},
		"from-tpa-proxy": {
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &proxies}}}},
		},
	}
	if diff := cmp.Diff(want, policies); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// proxyTemplate is the pod of a proxy, as the controller makes it.
func proxyTemplate(t *testing.T) corev1.PodTemplateSpec {
	t.Helper()
	objects, err := proxyobjects.Wanted("shop", contract.Defaults{}, proxyobjects.Config{Image: "proxy:v1", Drain: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.Kind() != "Deployment" {
			continue
		}
		data, err := yaml.Marshal(o.Configuration())
		if err != nil {
			t.Fatal(err)
		}
		var d appsv1.Deployment
		if err := yaml.Unmarshal(data, &d); err != nil {
			t.Fatal(err)
		}
		return d.Spec.Template
	}
	t.Fatal("no Deployment")
	return corev1.PodTemplateSpec{}
}
