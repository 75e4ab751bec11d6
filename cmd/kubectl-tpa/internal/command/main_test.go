//go:build integration

package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/test/apiserver"
)

// server is the API server of all tests; each has a namespace of its own.
var server *apiserver.Server

// patience is how long a test waits for what takes moments.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Options{}, func(_ context.Context, s *apiserver.Server) (int, error) {
		server = s
		return m.Run(), nil
	}))
}

// shop is a namespace, opted in, of one test. The tests play the proxies: they write the Leases.
type shop struct {
	*testing.T
	ns string
}

func openShop(t *testing.T) *shop {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "shop-", Labels: map[string]string{contract.InjectLabel: contract.InjectEnabled},
	}}
	s := &shop{t, ""}
	s.must(server.Admin.Create(t.Context(), ns))
	s.ns = ns.Name
	return s
}

func (s *shop) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// buffer may be read while a command writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// result is what a command wrote, and its exit code.
type result struct {
	out, err string
	code     int
}

// run runs a command as a user; the empty name is the administrator.
func (s *shop) run(ctx context.Context, user string, out *buffer, args ...string) result {
	s.Helper()
	kubeconfig, err := server.Kubeconfig(user)
	s.must(err)
	var errs buffer
	args = append(args, "--kubeconfig="+kubeconfig, "--namespace="+s.ns)
	code := Run(ctx, args, genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: &errs}, "v0.1.0")
	return result{out.String(), errs.String(), code}
}

// does runs a command as the administrator, which must succeed.
func (s *shop) does(args ...string) string {
	s.Helper()
	got := s.run(s.Context(), "", &buffer{}, args...)
	if got.code != 0 {
		s.Fatalf("%v: exit code %d: %s%s", args, got.code, got.out, got.err)
	}
	return got.out
}

// fails runs a command as a user, which must fail and say something.
func (s *shop) fails(user, want string, args ...string) {
	s.Helper()
	got := s.run(s.Context(), user, &buffer{}, args...)
	if got.code != 1 || !strings.Contains(got.err, want) {
		s.Errorf("%v: exit code %d, %q; want 1 and %q", args, got.code, got.err, want)
	}
}

// app creates a Deployment, and a Service that is Active.
func (s *shop) app(name string, replicas int32) {
	s.Helper()
	set := map[string]string{"app": name}
	s.must(server.Admin.Create(s.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: set},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: set},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
			},
		},
	}))
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.ns, Name: name, Labels: set, Annotations: map[string]string{contract.TargetKey: name},
		},
		Spec: corev1.ServiceSpec{Selector: set, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	s.must(server.Admin.Create(s.Context(), svc))
	config, err := server.As(apiserver.Self, "system:serviceaccounts", "system:serviceaccounts:"+apiserver.Namespace)
	s.must(err)
	tpa, err := client.New(config, client.Options{})
	s.must(err)
	s.must(tpa.Patch(s.Context(), svc, client.RawPatch(types.MergePatchType, fmt.Appendf(nil,
		`{"metadata":{"annotations":{%q:%q,%q:"80:20001"}}}`, contract.PhaseKey, contract.Active, contract.PortsKey))))
}

func target(name string) contract.Target {
	return contract.Target{Resource: "deployments", Group: "apps", Name: name}
}

// state writes a target's Lease as the proxies do.
func (s *shop) state(name string, state sleep.State, h *contract.History) {
	s.Helper()
	annotations := map[string]string{contract.TargetKey: target(name).String(), contract.StateKey: state.String()}
	if h != nil {
		annotations[contract.HistoryKey] = h.String()
	}
	s.lease(target(name).Lease(), contract.LeaseTarget, annotations)
}

func (s *shop) lease(name, label string, annotations map[string]string) {
	s.Helper()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name}}
	err := server.Admin.Get(s.Context(), client.ObjectKeyFromObject(lease), lease)
	lease.Labels, lease.Annotations = map[string]string{contract.LeaseLabel: label}, annotations
	if client.IgnoreNotFound(err) == nil && err != nil {
		s.must(server.Admin.Create(s.Context(), lease))
		return
	}
	s.must(err)
	s.must(server.Admin.Update(s.Context(), lease))
}

// pod creates a ready pod.
func (s *shop) pod(name string, set map[string]string) {
	s.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name, Labels: set},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
	s.must(server.Admin.Create(s.Context(), pod))
	pod.Status.PodIP, pod.Status.PodIPs = "192.0.2.1", []corev1.PodIP{{IP: "192.0.2.1"}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	s.must(server.Admin.Status().Update(s.Context(), pod))
}

func (s *shop) replicas(name string) int32 {
	s.Helper()
	var d appsv1.Deployment
	s.must(server.Admin.Get(s.Context(), client.ObjectKey{Namespace: s.ns, Name: name}, &d))
	return *d.Spec.Replicas
}

// user gives somebody rights in the namespace, and returns the name.
func (s *shop) user(rules ...rbacv1.PolicyRule) string {
	s.Helper()
	name := "user-of-" + s.ns
	meta := metav1.ObjectMeta{Namespace: s.ns, Name: name}
	s.must(server.Admin.Create(s.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}))
	s.must(server.Admin.Create(s.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
	}))
	return name
}

// eventually waits for something.
func (s *shop) eventually(what string, done func() bool) {
	s.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// contains checks that a text has lines, in which any space stands for any other.
func (s *shop) contains(got string, lines ...string) {
	s.Helper()
	flat := strings.Join(strings.Fields(got), " ")
	for _, line := range lines {
		if !strings.Contains(flat, line) {
			s.Errorf("no %q in\n%s", line, got)
		}
	}
}
