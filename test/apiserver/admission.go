package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/yaml"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/admission"
)

// webhooks reads TPA's webhook configuration, as it is installed.
func webhooks() ([]*admissionv1.MutatingWebhookConfiguration, error) {
	data, err := os.ReadFile(manifest("webhook.yaml"))
	if err != nil {
		return nil, err
	}
	hooks := &admissionv1.MutatingWebhookConfiguration{}
	if err := yaml.UnmarshalStrict(data, hooks); err != nil {
		return nil, fmt.Errorf("webhook.yaml: %w", err)
	}
	return []*admissionv1.MutatingWebhookConfiguration{hooks}, nil
}

// Webhooks returns TPA's webhook configuration, with another process than this one to ask: at a URL, under a CA.
func Webhooks(url string, ca []byte) (*admissionv1.MutatingWebhookConfiguration, error) {
	hooks, err := webhooks()
	if err != nil {
		return nil, err
	}
	for i := range hooks[0].Webhooks {
		hooks[0].Webhooks[i].ClientConfig = admissionv1.WebhookClientConfig{URL: &url, CABundle: ca}
	}
	return hooks[0], nil
}

// CallAdmission has the API server ask TPA's admission in another process, and waits until it does: for who started it
// with NoAdmission.
func (s *Server) CallAdmission(ctx context.Context, url string, ca []byte) error {
	hooks, err := Webhooks(url, ca)
	if err != nil {
		return err
	}
	if err := s.Admin.Create(ctx, hooks); err != nil {
		return fmt.Errorf("create webhook configuration %s: %w", hooks.Name, err)
	}
	return s.waitForAdmission(ctx)
}

// serveAdmission answers the API server in this process, with TPA's own rights, and waits until it asks.
func (s *Server) serveAdmission(ctx context.Context) error {
	config, err := s.As(Self, "system:serviceaccounts", "system:serviceaccounts:"+Namespace)
	if err != nil {
		return err
	}
	local := s.env.WebhookInstallOptions
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Metrics: metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: local.LocalServingHost, Port: local.LocalServingPort, CertDir: local.LocalServingCertDir,
		}),
	})
	if err != nil {
		return fmt.Errorf("set up admission: %w", err)
	}
	handler, err := admission.New(config, mgr.GetHTTPClient(), mgr.GetRESTMapper(), Self)
	if err != nil {
		return err
	}
	mgr.GetWebhookServer().Register(admission.Path, &webhook.Admission{Handler: handler})
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop, s.done = stop, make(chan error, 1)
	go func() { s.done <- mgr.Start(running) }()
	return s.waitForAdmission(ctx)
}

// waitForAdmission sends a Service that TPA must refuse, and changes nothing: the API server learns of a webhook some
// time after it was told.
func (s *Server) waitForAdmission(ctx context.Context) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "wait-for-admission", Labels: map[string]string{contract.InjectLabel: contract.InjectEnabled},
	}}
	if err := s.Admin.Create(ctx, ns); err != nil {
		return fmt.Errorf("wait for admission: %w", err)
	}
	seen := errors.New("never asked")
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		probe := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "web", Annotations: map[string]string{contract.TargetKey: "/"}},
			Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
		}
		seen = s.Admin.Create(ctx, probe, client.DryRunAll)
		var status interface{ Status() metav1.Status }
		return errors.As(seen, &status) && slices.Contains([]int32{403, 422}, status.Status().Code), nil
	})
	if err != nil {
		return fmt.Errorf("wait for admission: %w", errors.Join(err, seen))
	}
	return nil
}
