//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/apiserver"
)

// shop is a namespace, opted in, as one user sees it through kubectl.
type shop struct {
	*testing.T
	ns, kubeconfig string
}

// openShop makes a namespace; its user is the administrator.
func openShop(t *testing.T) *shop {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "shop-", Labels: map[string]string{contract.InjectLabel: contract.InjectEnabled},
	}}
	if err := server.Admin.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return (&shop{t, ns.Name, ""}).as("")
}

// as is the same namespace seen by another user; the empty name is the administrator.
func (s *shop) as(user string) *shop {
	s.Helper()
	kubeconfig, err := server.Kubeconfig(user)
	s.must(err)
	return &shop{s.T, s.ns, kubeconfig}
}

func (s *shop) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shop) kubectl(stdin string, args ...string) (apiserver.Output, error) {
	program := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	return apiserver.Run(s.Context(), stdin, s.kubeconfig, program, append([]string{"-n", s.ns}, args...)...)
}

// passes runs kubectl, which must succeed, and returns its warnings.
func (s *shop) passes(stdin string, args ...string) string {
	s.Helper()
	out, err := s.kubectl(stdin, args...)
	s.must(err)
	return warnings(out)
}

// fails runs kubectl, which must fail and print the text.
func (s *shop) fails(want, stdin string, args ...string) {
	s.Helper()
	out, err := s.kubectl(stdin, args...)
	switch {
	case err == nil:
		s.Errorf("kubectl %s is not refused: %s%s", strings.Join(args, " "), out.Stdout, out.Stderr)
	case !strings.Contains(out.Stderr, want):
		s.Errorf("kubectl %s prints %s\nwant %s", strings.Join(args, " "), out.Stderr, want)
	}
}

// warnings are those that kubectl prints, one a line, without what else may stand on stderr.
func warnings(out apiserver.Output) string {
	var lines []string
	for line := range strings.Lines(out.Stderr) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "Warning: "); ok {
			lines = append(lines, text)
		}
	}
	return strings.Join(lines, "\n")
}

// manifest is a Service as somebody keeps it in a file: web, port 80 to http, with the annotations "key=value".
func (s *shop) manifest(annotations ...string) *corev1.Service {
	svc := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: s.ns, Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"},
			Ports:    []corev1.ServicePort{{Name: "main", Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}
	for _, a := range annotations {
		key, value, _ := strings.Cut(a, "=")
		svc.Annotations[key] = value
	}
	return svc
}

func (s *shop) yaml(object client.Object) string {
	s.Helper()
	document, err := yaml.Marshal(object)
	s.must(err)
	return string(document)
}

func (s *shop) get(name string) *corev1.Service {
	s.Helper()
	svc := &corev1.Service{}
	s.must(server.Admin.Get(s.Context(), client.ObjectKey{Namespace: s.ns, Name: name}, svc))
	return svc
}

// phase has TPA put a Service in a phase, as the controller does; the empty one releases it.
func (s *shop) phase(name string, phase contract.Phase, ports contract.Ports) *corev1.Service {
	s.Helper()
	config, err := server.As(apiserver.Self, "system:serviceaccounts", "system:serviceaccounts:"+apiserver.Namespace)
	s.must(err)
	tpa, err := client.New(config, client.Options{})
	s.must(err)
	annotations := fmt.Sprintf(`%q:%q,%q:%q`, contract.PhaseKey, phase, contract.PortsKey, ports)
	if phase == "" {
		annotations = fmt.Sprintf(`%q:null`, contract.PhaseKey)
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name}}
	s.must(tpa.Patch(s.Context(), svc, client.RawPatch(types.MergePatchType,
		fmt.Appendf(nil, `{"metadata":{"annotations":{%s}}}`, annotations)), client.FieldOwner(contract.FieldManager)))
	if got := contract.Phase(svc.Annotations[contract.PhaseKey]); got != phase {
		s.Fatalf("service %s is %q, want %q", name, got, phase)
	}
	return svc
}

// active creates the managed Service web and has it Active, with ports from 20001 on.
func (s *shop) active(edits ...func(*corev1.Service)) *corev1.Service {
	s.Helper()
	manifest := s.manifest(contract.TargetKey + "=web")
	for _, edit := range edits {
		edit(manifest)
	}
	s.passes(s.yaml(manifest), "create", "-f", "-")
	slots := contract.Ports{}
	for i, port := range manifest.Spec.Ports {
		slots[port.Port] = int32(contract.PortMin + 1 + i)
	}
	return s.phase(manifest.Name, contract.Active, slots)
}

// grant gives a user rights: by a Role in the namespace, or by a ClusterRole everywhere, which goes with the test.
func (s *shop) grant(user, kind string, rules ...rbacv1.PolicyRule) {
	s.Helper()
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: s.ns + "-" + user}
	meta := metav1.ObjectMeta{Namespace: s.ns, Name: ref.Name}
	objects := []client.Object{
		&rbacv1.Role{ObjectMeta: meta, Rules: rules}, &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref},
	}
	if kind == "ClusterRole" {
		meta.Namespace = ""
		objects = []client.Object{
			&rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref},
		}
	}
	for _, object := range objects {
		s.must(server.Admin.Create(s.Context(), object))
		s.Cleanup(func() {
			if err := server.Admin.Delete(context.WithoutCancel(s.Context()), object); err != nil {
				s.Error(err)
			}
		})
	}
}
