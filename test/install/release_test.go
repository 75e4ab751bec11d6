//go:build integration

package install

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/cert"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/webhook/admission"
)

// release is TPA as a Helm release.
type release struct {
	*testing.T
	helm string
	// said is what the last hook said.
	said string
	// hooks are those that ran.
	hooks map[types.UID]bool
}

func (r *release) run(stdin string, args ...string) error {
	kubeconfig, err := server.Kubeconfig("")
	if err != nil {
		return err
	}
	_, err = apiserver.Run(r.Context(), stdin, kubeconfig, client(r.helm), append(args, "--namespace="+namespace)...)
	return err
}

func (r *release) install(wait string) {
	r.Helper()
	must(r.T, r.run(strings.ReplaceAll(cycle, "WAIT", wait), "install", "tpa", chart, "--values=-"))
}

// uid is the ServiceAccount's.
func (r *release) uid() string {
	r.Helper()
	self := &corev1.ServiceAccount{}
	must(r.T, server.Admin.Get(r.Context(), k8s.ObjectKey{Namespace: namespace, Name: "tpa-webhook"}, self))
	return string(self.UID)
}

// serve runs what the Deployment holds, with the ServiceAccount's rights, until the function that it returns is called. A
// certificate of 127.0.0.1 and that address stand for cert-manager's and the Service's. More arguments are for what a test
// needs otherwise.
func (r *release) serve(more ...string) (end func()) {
	r.Helper()
	deployment := &appsv1.Deployment{}
	must(r.T, server.Admin.Get(r.Context(), k8s.ObjectKey{Namespace: namespace, Name: "tpa-webhook"}, deployment))
	container := deployment.Spec.Template.Spec.Containers[0]
	env := []string{"$(POD_NAMESPACE)", namespace}
	for _, e := range container.Env {
		env = append(env, "$("+e.Name+")", e.Value)
	}
	var args []string
	for _, arg := range container.Args {
		args = append(args, strings.NewReplacer(env...).Replace(arg))
	}
	dir := r.TempDir()
	crt, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	must(r.T, errors.Join(err, os.WriteFile(filepath.Join(dir, "tls.crt"), crt, 0o600), os.WriteFile(filepath.Join(dir, "tls.key"), key, 0o600)))
	port, probes := freePort(r.T), freePort(r.T)
	hooks := &admissionv1.MutatingWebhookConfiguration{}
	must(r.T, server.Admin.Get(r.Context(), k8s.ObjectKey{Name: "tpa"}, hooks))
	url := fmt.Sprintf("https://127.0.0.1:%d%s", port, admission.Path)
	for i := range hooks.Webhooks {
		hooks.Webhooks[i].ClientConfig = admissionv1.WebhookClientConfig{URL: &url, CABundle: crt}
	}
	must(r.T, server.Admin.Update(r.Context(), hooks))

	kubeconfig, err := server.Kubeconfig(apiserver.Self, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	must(r.T, err)
	args = append(args, "--kubeconfig="+kubeconfig, "--cert-dir="+dir, fmt.Sprintf("--webhook-port=%d", port), "--metrics-bind-address=0",
		fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", probes))
	cmd := exec.Command(client("webhook"), append(args, more...)...)
	log, err := os.Create(filepath.Join(dir, "log"))
	must(r.T, err)
	cmd.Stdout, cmd.Stderr = log, log
	must(r.T, cmd.Start())
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			r.Errorf("end the webhook: %v", err)
		}
		if text, err := os.ReadFile(log.Name()); r.Failed() {
			r.Logf("the webhook says: %s %v", text, err)
		}
		_ = log.Close()
	}
	r.Cleanup(end)
	until(r.T, "the webhook to be ready", func(ctx context.Context) error {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", probes))
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
		return nil
	})
	return end
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// until waits until a look finds nothing wrong.
func until(t *testing.T, what string, look func(context.Context) error) {
	t.Helper()
	var wrong error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		wrong = look(ctx)
		return wrong == nil, nil
	})
	if err != nil {
		t.Fatalf("wait for %s: %v (%v)", what, err, wrong)
	}
}

func (r *release) uninstall() error {
	r.Helper()
	return r.uninstallBy(func() error { return r.run("", "uninstall", "tpa", "--timeout=2m") })
}

// uninstallBy runs helm, and the hook's Job when it turns up.
func (r *release) uninstallBy(helm func() error) error {
	r.Helper()
	if r.hooks == nil {
		r.hooks = map[types.UID]bool{}
	}
	r.said = ""
	ended := make(chan error, 1)
	go func() { ended <- helm() }()
	job := &batchv1.Job{}
	until(r.T, "the hook", func(ctx context.Context) error {
		select {
		case err := <-ended:
			r.Fatalf("helm uninstall ended before its hook ran: %v", err)
		default:
		}
		err := server.Admin.Get(ctx, k8s.ObjectKey{Namespace: namespace, Name: "tpa-uninstall"}, job)
		if err == nil && r.hooks[job.UID] {
			return errors.New("it is the last one's")
		}
		return err
	})
	r.hooks[job.UID] = true
	kubeconfig, err := server.Kubeconfig("system:serviceaccount:"+namespace+":tpa-uninstall", "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	must(r.T, err)
	out, err := apiserver.Run(r.Context(), "", kubeconfig, client("webhook"), job.Spec.Template.Spec.Containers[0].Args...)
	r.said = out.Stdout + out.Stderr
	r.Logf("the hook says: %s", r.said)
	now := metav1.Now()
	job.Status = batchv1.JobStatus{StartTime: &now}
	conditions := []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed}
	if err == nil {
		conditions = []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete}
		job.Status.Succeeded, job.Status.CompletionTime = 1, &now
	}
	for _, c := range conditions {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: c, Status: corev1.ConditionTrue, Reason: "Played", LastTransitionTime: now, LastProbeTime: now,
		})
	}
	must(r.T, server.Admin.Status().Update(r.Context(), job))
	return <-ended
}

// gone checks that nothing is left of the release but the Namespace, with the label of an installation that was.
func (r *release) gone(uid string) {
	r.Helper()
	if err := r.run("", "status", "tpa"); err == nil || !strings.Contains(err.Error(), "not found") {
		r.Errorf("the release: %v", err)
	}
	for key, o := range rendered(r.T, r.helm, cycleValues) {
		if err := server.Admin.Get(r.Context(), k8s.ObjectKeyFromObject(o), o); !apierrors.IsNotFound(err) {
			r.Errorf("%s is left: %v", key, err)
		}
	}
	var ns corev1.Namespace
	must(r.T, server.Admin.Get(r.Context(), k8s.ObjectKey{Name: namespace}, &ns))
	if got := ns.Labels[contract.UninstallLabel]; got != uid {
		r.Errorf("namespace label %q, want %q", got, uid)
	}
}
