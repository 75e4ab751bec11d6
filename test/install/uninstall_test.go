//go:build integration

package install

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
)

// patience is how long anything may take: a machine may be busy.
const patience = time.Minute

// cycle has proxies with every option there is, so that a restricted namespace is asked about them, and a TPA that is quick.
const cycle = `
imagePullSecrets: [registry]
proxy:
  resources: {limits: {cpu: 2}}
  nodeSelector: {kubernetes.io/os: linux}
  tolerations: [{key: pool, operator: Exists}]
  priorityClassName: system-cluster-critical
  podLabels: {team: infra}
  podAnnotations: {a.example/b: 'c, d'}
namespaceSelector: [{key: env, operator: NotIn, values: [prod]}]
timing: {linger: 500ms, settleTime: 1s, proxyDrain: 1s, shutdownDelay: 0s}
uninstall: {wait: WAIT}
`

// cycleValues are the same for who only asks which objects there are.
var cycleValues = strings.ReplaceAll(cycle, "WAIT", "30s")

// TestUninstall takes a release through its life, with both Helms on a real API server: Helm does its part, the hook's
// and TPA's programs run with the arguments and the rights that the chart gives them. Played are pods, cert-manager, and
// the controller of Jobs.
func TestUninstall(t *testing.T) {
	s := openShop(t, "uninstall")
	uids := map[string]bool{}
	for _, helm := range helms {
		t.Run(helm, func(t *testing.T) {
			s, r := s.in(t), &release{T: t, helm: helm}
			// The second time the Namespace still has the label of the first.
			for range 2 {
				r.install("30s")
				uid := r.uid()
				if uids[uid] {
					t.Fatal("the ServiceAccount is that of an installation before")
				}
				uids[uid] = true
				end := r.serve()
				s.active()
				s.restricted()
				must(t, r.uninstall())
				s.restored()
				s.noProxy()
				end()
				r.gone(uid)
			}
		})
	}
}

// TestUninstallFails: when Services cannot be restored in time, nothing is removed, and the next try is as good as the first.
func TestUninstallFails(t *testing.T) {
	s := openShop(t, "uninstall-fails")
	r := &release{T: t, helm: "helm4"}
	r.install("1s")
	end := r.serve()
	s.active()
	end() // a controller that is gone restores nothing
	if err := r.uninstall(); err == nil {
		t.Fatal("it is uninstalled, and the Service is still TPA's")
	}
	if want := "TPA still holds:\n  service uninstall-fails/web (Active)\n  deployment uninstall-fails/tpa-proxy\nNothing was removed"; !strings.Contains(r.said, want) {
		t.Errorf("the hook says %s", r.said)
	}
	for _, o := range []k8s.Object{
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "tpa"}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tpa-webhook"}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "tpa-controller"}},
	} {
		if err := server.Admin.Get(t.Context(), k8s.ObjectKeyFromObject(o), o); err != nil {
			t.Error(err)
		}
	}
	uid := r.uid()
	end = r.serve()
	until(t, "the Service to be restored", func(ctx context.Context) error {
		if svc := s.service(); contract.Phase(svc.Annotations[contract.PhaseKey]) != "" {
			return fmt.Errorf("phase %s", svc.Annotations[contract.PhaseKey])
		}
		return nil
	})
	s.restored()
	until(t, "the proxies to be gone", func(context.Context) error { return s.proxies() })
	must(t, r.uninstall())
	end()
	r.gone(uid)
}

// shop is a namespace with an app whose Service is annotated before there is a TPA.
type shop struct {
	*testing.T
	ns     string
	before corev1.ServiceSpec
}

func openShop(t *testing.T, ns string) *shop {
	t.Helper()
	if err := server.Admin.Get(t.Context(), k8s.ObjectKey{Name: namespace}, &corev1.Namespace{}); apierrors.IsNotFound(err) {
		createNamespace(t, namespace)
	}
	home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: map[string]string{contract.InjectLabel: contract.InjectEnabled}}}
	must(t, server.Admin.Create(t.Context(), home))
	t.Cleanup(func() { // Namespaces that are deleted stay, here
		patch := k8s.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, contract.InjectLabel))
		if err := server.Admin.Patch(context.WithoutCancel(t.Context()), home, patch); err != nil {
			t.Error(err)
		}
	})
	pods, one := map[string]string{"app": "web"}, int32(1)
	must(t, server.Admin.Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: pods},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: pods},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:v1"}}},
			},
		},
	}))
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web", Annotations: map[string]string{contract.TargetKey: "web"}},
		Spec:       corev1.ServiceSpec{Selector: pods, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	}
	must(t, server.Admin.Create(t.Context(), svc))
	return &shop{t, ns, svc.Spec}
}

func (s *shop) in(t *testing.T) *shop { return &shop{t, s.ns, s.before} }

func (s *shop) service() *corev1.Service {
	s.Helper()
	svc := &corev1.Service{}
	must(s.T, server.Admin.Get(s.Context(), k8s.ObjectKey{Namespace: s.ns, Name: "web"}, svc))
	return svc
}

// active waits until the Service leads to proxies.
func (s *shop) active() {
	s.Helper()
	until(s.T, "the Service to be Active", func(context.Context) error {
		svc := s.service()
		if phase := contract.Phase(svc.Annotations[contract.PhaseKey]); phase != contract.Active {
			return fmt.Errorf("phase %q", phase)
		}
		return nil
	})
	if svc := s.service(); svc.Spec.Selector[contract.SelectorKey] == "" {
		s.Errorf("selector %v", svc.Spec.Selector)
	}
}

// restricted checks that a namespace that enforces the restricted pod security standard takes the proxies.
func (s *shop) restricted() {
	s.Helper()
	proxy := &appsv1.Deployment{}
	must(s.T, server.Admin.Get(s.Context(), k8s.ObjectKey{Namespace: s.ns, Name: contract.ProxyName}, proxy))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "a-proxy"}, Spec: proxy.Spec.Template.Spec}
	if len(pod.Spec.Tolerations) != 1 || len(pod.Spec.ImagePullSecrets) != 1 || pod.Spec.PriorityClassName == "" || pod.Spec.NodeSelector == nil {
		s.Errorf("the proxies are not as they were asked for: %+v", pod.Spec)
	}
	if err := server.Admin.Create(s.Context(), pod, k8s.DryRunAll); err != nil {
		s.Error(err)
	}
}

// restored checks that the Service is its user's again.
func (s *shop) restored() {
	s.Helper()
	svc := s.service()
	if diff := cmp.Diff(s.before, svc.Spec); diff != "" {
		s.Errorf("the Service is not as it was (-before +after):\n%s", diff)
	}
	if want := map[string]string{contract.TargetKey: "web"}; !cmp.Equal(svc.Annotations, want) || len(svc.Labels) > 0 {
		s.Errorf("left on the Service: %v %v", svc.Annotations, svc.Labels)
	}
}

// proxies says which are left.
func (s *shop) proxies() error {
	err := server.Admin.Get(s.Context(), k8s.ObjectKey{Namespace: s.ns, Name: contract.ProxyName}, &appsv1.Deployment{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("namespace %s has proxies", s.ns)
}

func (s *shop) noProxy() {
	s.Helper()
	must(s.T, s.proxies())
}
