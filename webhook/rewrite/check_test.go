package rewrite

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
)

// matrix is what TPA refuses, and the error.
var matrix = map[string]struct {
	edit func(*corev1.Service)
	want string
}{
	"ExternalName": {
		func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName },
		`spec.type: Invalid value: "ExternalName": such a Service has no pods to wake: use another type, or remove tpa.dev/target`,
	},
	"headless": {
		func(s *corev1.Service) { s.Spec.ClusterIP = corev1.ClusterIPNone },
		`spec.clusterIP: Invalid value: "None"`,
	},
	"UDP": {
		func(s *corev1.Service) {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP, TargetPort: intstrOf("53")})
		},
		`spec.ports[2].protocol: Invalid value: "UDP": TPA proxies TCP only`,
	},
	"SCTP":          {func(s *corev1.Service) { s.Spec.Ports[1].Protocol = corev1.ProtocolSCTP }, `spec.ports[1].protocol: Invalid value: "SCTP"`},
	"internalLocal": {func(s *corev1.Service) { s.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal) }, `spec.internalTrafficPolicy: Invalid value: "Local"`},
	"notReady":      {func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true }, `spec.publishNotReadyAddresses: Invalid value: true`},
	"externalLocal": {
		func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal },
		`accept it with tpa.dev/allow-source-ip-loss: "true", or remove`,
	},
	"Rollouts by annotation": {set(rolloutsAnnotation, "web"), `metadata.annotations[argo-rollouts.argoproj.io/managed-by-rollouts]: Invalid value: "web"`},
	"Rollouts by selector": {
		func(s *corev1.Service) {
			s.Spec.Selector = pair([]string{"app", "web", "tier", "a", rolloutsSelectorKey, "5d4"})
		},
		`spec.selector[rollouts-pod-template-hash]: Invalid value: "5d4"`,
	},
	"Flagger": {
		func(s *corev1.Service) {
			s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "flagger.app/v1beta1", Kind: "Canary"}}
		},
		`metadata.ownerReferences[0].apiVersion: Invalid value: "flagger.app/v1beta1"`,
	},
	"bad duration": {
		set(contract.IdleTimeoutKey, "5"),
		`metadata.annotations[tpa.dev/idle-timeout]: Invalid value: "5": write a duration from 1s`,
	},
	"bad target":  {set(contract.TargetKey, "web/web/web"), `metadata.annotations[tpa.dev/target]: Invalid value: "web/web/web": write web, deployment/web`},
	"unknown key": {set("tpa.dev/idel-timeout", "5m"), `metadata.annotations[tpa.dev/idel-timeout]: Invalid value: "5m": it is not an annotation of TPA: write one of`},
	"two at once": {
		func(s *corev1.Service) { set(contract.MaxHeldKey, "0")(s); set(contract.WakeOnKey, "luck")(s) },
		`metadata.annotations[tpa.dev/max-held]`,
	},
}

func TestRefused(t *testing.T) {
	pending, _ := admit(t, Request{New: users().Obj()})
	for name, tt := range matrix {
		t.Run(name, func(t *testing.T) {
			for state, req := range map[string]Request{
				"create":  {New: edited(users().Obj(), tt.edit)},
				"opt in":  {Old: edited(users().Obj(), unset(contract.TargetKey)), New: edited(users().Obj(), tt.edit)},
				"Pending": {Old: pending, New: edited(pending, tt.edit)},
				"Active":  {Old: active().Obj(), New: edited(active().Obj(), tt.edit)},
			} {
				_, _, err := tryAdmit(t, req)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: got %v\nwant %s", state, err, tt.want)
				}
			}
		})
	}
}

// TestRefusedOnce: what got in before it was refused hinders nobody who changes something else, and nobody who leaves.
func TestRefusedOnce(t *testing.T) {
	for name, tt := range matrix {
		t.Run(name, func(t *testing.T) {
			old := active().Obj()
			tt.edit(old)
			if hash, ok := old.Spec.Selector[rolloutsSelectorKey]; ok {
				old.Annotations[contract.OriginalKey] = `{"selector":{"rollouts-pod-template-hash":"` + hash +
					`"},"targetPorts":{"80":"http","81":9000}}`
			}
			old.Spec.Selector = contract.ProxySelector()
			for who, req := range map[string]Request{
				"somebody":       {Old: old, New: edited(old, set("example.com/note", "x"))},
				"the controller": {Old: old, New: edited(old, phase(contract.Restoring)), FromTPA: true},
				"leaving":        {Old: old, New: edited(old, unset(contract.TargetKey))},
			} {
				if _, _, err := tryAdmit(t, req); err != nil {
					t.Errorf("%s: %v", who, err)
				}
			}
		})
	}
}

func TestSourceIPLossAccepted(t *testing.T) {
	svc := users().Annotate(contract.AllowSourceIPLossKey, "true").Obj()
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	admit(t, Request{New: svc})
}

// TestOptOutIsNotChecked: who leaves while nothing is rewritten owes TPA nothing.
func TestOptOutIsNotChecked(t *testing.T) {
	pending, _ := admit(t, Request{New: users().Obj()})
	after, result := admit(t, Request{Old: pending, New: edited(pending, func(svc *corev1.Service) {
		unset(contract.TargetKey)(svc)
		svc.Spec.ClusterIP = corev1.ClusterIPNone
		svc.Spec.Selector = nil
	})})
	if result.Phase != "" || len(after.Annotations) > 0 || len(after.Labels) > 0 {
		t.Errorf("left: %v %v", after.Labels, after.Annotations)
	}
}
