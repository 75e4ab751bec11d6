//go:build integration

package integration

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
)

// edit is a change of a Service.
type edit = func(*corev1.Service)

const (
	orRemove  = ", or remove tpa.dev/target"
	rolloutIs = `Argo Rollouts changes this Service's selector itself: annotate one that it does not switch` + orRemove
	flaggerIs = `Flagger changes this Service's selector itself: annotate one that it does not switch` + orRemove
)

// refused is what TPA does not take, and what kubectl prints then.
var refused = []struct {
	name string
	edit edit
	want string
}{
	{"ExternalName", func(s *corev1.Service) {
		s.Spec = corev1.ServiceSpec{Type: "ExternalName", ExternalName: "a.example", Selector: s.Spec.Selector}
	}, `spec.type: "ExternalName" is not accepted: such a Service has no pods to wake: use another type` + orRemove},
	{"no selector", func(s *corev1.Service) { s.Spec.Selector = nil }, `spec.selector is required: TPA finds the pods by it: `},
	{"headless", func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "None", nil }, `spec.clusterIP: "None" is not accepted: clients of a headless Service connect to its pods past any proxy: create it without this` + orRemove},
	{"UDP", protocol("UDP"), `spec.ports[0].protocol: "UDP" is not accepted: TPA proxies TCP only: move this port to a Service of its own` + orRemove},
	{"SCTP", protocol("SCTP"), `spec.ports[0].protocol: "SCTP" is not accepted: TPA proxies TCP only: move this port to a Service of its own` + orRemove},
	{"UDP beside TCP", func(s *corev1.Service) {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "dns", Port: 53, Protocol: "UDP"})
	}, `spec.ports[1].protocol: "UDP" is not accepted: TPA proxies TCP only`},
	{"internalTrafficPolicy Local", func(s *corev1.Service) { s.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal) }, `spec.internalTrafficPolicy: "Local" is not accepted: there is no proxy on every node: write Cluster` + orRemove},
	{"publishNotReadyAddresses", func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true }, `spec.publishNotReadyAddresses: "true" is not accepted: TPA holds connections until a pod is ready: write false` + orRemove},
	{"externalTrafficPolicy Local, NodePort", externalLocal("NodePort"), `spec.externalTrafficPolicy: "Local" is not accepted: the pods would see the proxy's address instead of the client's: write Cluster, accept it with tpa.dev/allow-source-ip-loss: "true"` + orRemove},
	{"externalTrafficPolicy Local, LoadBalancer", externalLocal("LoadBalancer"), `spec.externalTrafficPolicy: "Local" is not accepted: the pods would see the proxy's address`},
	{"targetPort in TPA's range", func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromInt32(20002) }, `spec.ports[0].targetPort: "20002" is not accepted: 20000-29999 are TPA's own: name the port in the pod template and write its name`},
	{"Argo Rollouts by annotation", annotation("argo-rollouts.argoproj.io/managed-by-rollouts", "web"), `metadata.annotations[argo-rollouts.argoproj.io/managed-by-rollouts]: "web" is not accepted: ` + rolloutIs},
	{"Argo Rollouts by selector", selector("app", "web", "rollouts-pod-template-hash", "5d4"), `spec.selector[rollouts-pod-template-hash]: "5d4" is not accepted: ` + rolloutIs},
	{"Flagger by owner", owner("flagger.app/v1beta1", "Canary"), `metadata.ownerReferences[0].apiVersion: "flagger.app/v1beta1" is not accepted: ` + flaggerIs},
	{"bad value", annotation(contract.WakeOnKey, "luck"), `metadata.annotations[tpa.dev/wake-on]: "luck" is not accepted: write connect or data`},
	{"unknown key", annotation("tpa.dev/idel-timeout", "5m"), `metadata.annotations[tpa.dev/idel-timeout]: "5m" is not accepted: it is not an annotation of TPA: write one of tpa.dev/`},
	{"two at once", func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true; protocol("UDP")(s) }, `"UDP" is not accepted: TPA proxies TCP only: move this port to a Service of its own, or remove tpa.dev/target; spec.publishNotReadyAddresses: "true" is not accepted`},
}

func protocol(p corev1.Protocol) edit {
	return func(s *corev1.Service) { s.Spec.Ports[0].Protocol = p }
}

func externalLocal(kind corev1.ServiceType) edit {
	return func(s *corev1.Service) { s.Spec.Type, s.Spec.ExternalTrafficPolicy = kind, "Local" }
}

func annotation(key, value string) edit {
	return func(s *corev1.Service) { s.Annotations[key] = value }
}

func selector(pairs ...string) edit {
	return func(s *corev1.Service) {
		s.Spec.Selector = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			s.Spec.Selector[pairs[i]] = pairs[i+1]
		}
	}
}

func owner(apiVersion, kind string) edit {
	return func(s *corev1.Service) {
		s.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: "web", UID: "1"}}
	}
}

// TestRefused: on create, on annotating a Service that exists, and on editing one that is managed.
func TestRefused(t *testing.T) {
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			s := openShop(t)
			bad := s.manifest(contract.TargetKey + "=web")
			tt.edit(bad)
			s.fails(tt.want, s.yaml(bad), "create", "-f", "-")
			s.fails(tt.want, s.yaml(bad), "apply", "--server-side", "-f", "-")

			delete(bad.Annotations, contract.TargetKey)
			s.passes(s.yaml(bad), "create", "-f", "-")
			s.fails(tt.want, "", "annotate", "service", "web", contract.TargetKey+"=web")
			s.passes("", "delete", "service", "web")

			for _, phase := range []contract.Phase{contract.Pending, contract.Active} {
				svc := s.active()
				if phase == contract.Pending {
					svc = s.phase("web", phase, contract.Ports{80: 20001})
				}
				before := svc.ResourceVersion
				tt.edit(svc)
				svc.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}
				s.fails(tt.want, s.yaml(svc), "replace", "-f", "-")
				if after := s.get("web").ResourceVersion; after != before {
					t.Errorf("%s: changed from %s to %s", phase, before, after)
				}
				s.passes("", "delete", "service", "web")
			}
		})
	}
}

// TestReservedKey: only a rewritten Service selects the proxy.
func TestReservedKey(t *testing.T) {
	s := openShop(t)
	for _, pairs := range [][]string{
		{"app", "web", contract.SelectorKey, contract.SelectorValue}, {"app", "web", contract.SelectorKey, "x"},
		{contract.SelectorKey, contract.SelectorValue}, {contract.SelectorKey, "x"},
	} {
		want := `spec.selector[tpa.dev/proxy]: "` + pairs[len(pairs)-1] + `" is not accepted: the key is TPA's own: remove it from the selector`
		if len(pairs) == 2 {
			want = `spec.selector: "tpa.dev/proxy=` + pairs[1] + `" is not accepted: it is TPA's own and nothing tells which one it stands for: write the selector of your pods`
		}
		for _, annotations := range [][]string{nil, {contract.TargetKey + "=web"}} {
			svc := s.manifest(annotations...)
			selector(pairs...)(svc)
			s.fails(want, s.yaml(svc), "create", "-f", "-")
		}
	}
	s.passes(s.yaml(s.manifest(contract.TargetKey+"=web")), "create", "-f", "-")
	s.fails(`spec.selector[tpa.dev/proxy]: "x" is not accepted: the key is TPA's own`, "",
		"patch", "service", "web", "-p", `{"spec":{"selector":{"tpa.dev/proxy":"x"}}}`)
}
