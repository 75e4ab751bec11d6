package controller_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/yaml"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/admission"
	"tpa.dev/tpa/webhook/controller"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// kubeconfigEnv names the administrator's kubeconfig of an API server that this test may fill: one without nodes or
// controllers is enough, reachable from here and reaching back. TPA's ClusterRoles must be applied to it.
const kubeconfigEnv = "TPA_CONTROLLER_KUBECONFIG"

func number(t *testing.T, env string, unset int) int {
	v := os.Getenv(env)
	if v == "" {
		return unset
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAPIServer takes Services through their life on a real API server, with TPA's real rights and its admission; proxies
// are played. It reports what that costs.
func TestAPIServer(t *testing.T) {
	file := os.Getenv(kubeconfigEnv)
	if file == "" {
		t.Skip(kubeconfigEnv + " is not set")
	}
	namespaces, each := number(t, "TPA_NAMESPACES", 5), number(t, "TPA_SERVICES", 4)
	ctrl.SetLogger(testr.NewWithOptions(t, testr.Options{}))
	config, err := clientcmd.BuildConfigFromFlags("", file)
	must(t, err)
	config.QPS, config.Burst = 2000, 4000
	admin, err := client.New(config, client.Options{})
	must(t, err)
	ctx := t.Context()

	own := "tpa-system"
	must(t, client.IgnoreAlreadyExists(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: own}})))
	requests := startTPA(t, config, own)
	driver := &driver{t: t, c: admin}
	go driver.run(ctx)

	begin := time.Now()
	name := func(i int) string { return fmt.Sprintf("t%d-%03d", begin.Unix(), i) }
	for i := range namespaces {
		must(t, admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name(i), Labels: map[string]string{contract.InjectLabel: contract.InjectEnabled},
		}}))
		for j := range each {
			must(t, admin.Create(ctx, service(name(i), fmt.Sprintf("web-%d", j))))
		}
	}
	t.Logf("%d Services created in %s", namespaces*each, time.Since(begin))
	all := func(phase contract.Phase) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			var list corev1.ServiceList
			if err := admin.List(ctx, &list, client.MatchingLabels{contract.ManagedLabel: contract.ManagedTrue}); err != nil {
				return false, err
			}
			n := 0
			for _, svc := range list.Items {
				if svc.Annotations[contract.PhaseKey] == string(phase) {
					n++
				}
			}
			if phase == "" {
				return len(list.Items) == 0, nil
			}
			return n == namespaces*each, nil
		}
	}
	until := func(what string, done func(context.Context) (bool, error)) {
		t.Helper()
		start, before := time.Now(), requests.Load()
		if err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, 15*time.Minute, true, done); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %s, %d requests", what, time.Since(start).Round(time.Millisecond), requests.Load()-before)
	}
	until("all Active", all(contract.Active))
	time.Sleep(12 * time.Second) // events, second looks
	before := requests.Load()
	quiet := 20 * time.Second
	time.Sleep(quiet)
	t.Logf("requests in %s of peace: %d", quiet, requests.Load()-before)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	t.Logf("heap %d MiB, from the system %d MiB (with the driver and the webhook)", m.HeapAlloc>>20, m.Sys>>20)

	for i := range namespaces {
		must(t, admin.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name(i)}},
			client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"tpa.dev/inject":null}}}`))))
	}
	until("all restored", all(""))
	until("no proxy left", func(ctx context.Context) (bool, error) {
		for _, o := range proxyobjects.Present("") {
			list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: o.APIVersion, Kind: o.Kind + "List"}}
			if err := admin.List(ctx, list, client.MatchingLabels(proxyobjects.Labels())); err != nil || len(list.Items) > 0 {
				return false, err
			}
		}
		return true, nil
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func service(namespace, name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Annotations: map[string]string{contract.TargetKey: name},
		},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
}

// startTPA runs the controller and admission as TPA's own ServiceAccount, and returns how many requests the controller
// has made.
func startTPA(t *testing.T, admin *rest.Config, own string) *atomic.Int64 {
	t.Helper()
	requests := &atomic.Int64{}
	config := rest.CopyConfig(admin)
	config.QPS, config.Burst = 100, 200
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + own + ":tpa-webhook",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + own, "system:authenticated"},
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return counter{next, requests} })
	dir := t.TempDir()
	bundle := certificate(t, dir)
	const port = 19443
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Cache: controller.Cache(), Metrics: metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: dir}),
	})
	must(t, err)
	clients, err := kubernetes.NewForConfig(admin)
	must(t, err)
	scales, err := scale.NewForConfig(rest.CopyConfig(admin), mgr.GetRESTMapper(),
		dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(clients.Discovery()))
	must(t, err)
	mgr.GetWebhookServer().Register(admission.Path, &webhook.Admission{Handler: &admission.Handler{
		Self: config.Impersonate.UserName, Reviews: clients.AuthorizationV1().SubjectAccessReviews(),
		Exists: admission.ExistsByScale(scales),
	}})
	must(t, controller.Setup(mgr, controller.Options{
		Namespace: own, ProxyImage: "proxy:v1", ProxyDrain: time.Minute, SettleTime: time.Minute,
		RestoreTimeout: time.Minute, Linger: 5 * time.Second, StepAsideAfter: 30 * time.Second,
	}))
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})

	data, err := os.ReadFile("../../manifests/base/webhook.yaml")
	must(t, err)
	var hooks admissionregistrationv1.MutatingWebhookConfiguration
	must(t, yaml.Unmarshal(data, &hooks))
	url := fmt.Sprintf("https://127.0.0.1:%d%s", port, admission.Path)
	for i := range hooks.Webhooks {
		hooks.Webhooks[i].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: bundle}
	}
	c, err := client.New(admin, client.Options{})
	must(t, err)
	_ = c.Delete(t.Context(), hooks.DeepCopy())
	must(t, c.Create(t.Context(), &hooks))
	time.Sleep(3 * time.Second) // until the API server has heard of it
	return requests
}

type counter struct {
	next     http.RoundTripper
	requests *atomic.Int64
}

func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	return c.next.RoundTrip(r)
}

// certificate writes a self-signed certificate and returns it.
func certificate(t *testing.T, dir string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	must(t, os.WriteFile(filepath.Join(dir, "tls.crt"), crt, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return crt
}

// driver plays the Deployment controller, the kubelet and the proxies.
type driver struct {
	t *testing.T
	c client.Client
}

func (d *driver) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := d.round(ctx); err != nil && ctx.Err() == nil {
			d.t.Log("driver:", err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (d *driver) round(ctx context.Context) error {
	var deployments appsv1.DeploymentList
	var services corev1.ServiceList
	var leases coordinationv1.LeaseList
	var pods corev1.PodList
	proxies := client.MatchingLabels(proxyobjects.Labels())
	for list, option := range map[client.ObjectList]client.ListOption{
		&deployments: proxies, &pods: proxies,
		&services: client.MatchingLabels{contract.ManagedLabel: contract.ManagedTrue},
		&leases:   client.MatchingLabels{contract.LeaseLabel: contract.LeaseProxy},
	} {
		if err := d.c.List(ctx, list, option); err != nil {
			return err
		}
	}
	listening := map[string]contract.Listening{}
	for _, svc := range services.Items {
		ports, _ := contract.ParsePorts(svc.Annotations[contract.PortsKey])
		l := listening[svc.Namespace]
		if l == nil {
			l = contract.Listening{}
			listening[svc.Namespace] = l
		}
		for _, slot := range ports {
			l[svc.UID] = append(l[svc.UID], slot)
		}
	}
	written := map[string]*coordinationv1.Lease{}
	for i := range leases.Items {
		written[leases.Items[i].Namespace] = &leases.Items[i]
	}
	has := map[string]bool{}
	for i := range deployments.Items {
		dep := &deployments.Items[i]
		has[dep.Namespace] = true
		if len(dep.Status.Conditions) == 0 {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Namespace: dep.Namespace, Name: "tpa-proxy-x", Labels: dep.Spec.Template.Labels,
			}, Spec: *dep.Spec.Template.Spec.DeepCopy()}
			if err := d.c.Create(ctx, pod); client.IgnoreAlreadyExists(err) != nil {
				return err
			}
			pod.Status.Conditions = []corev1.PodCondition{{
				Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(),
			}}
			if err := d.c.Status().Update(ctx, pod); err != nil {
				return err
			}
			dep.Status.ObservedGeneration = dep.Generation
			dep.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}}
			if err := d.c.Status().Update(ctx, dep); err != nil {
				return err
			}
		}
		want := listening[dep.Namespace].String()
		lease := written[dep.Namespace]
		switch {
		case lease == nil:
			if err := d.c.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
				Namespace: dep.Namespace, Name: contract.PodLease("tpa-proxy-x"),
				Labels:      map[string]string{contract.LeaseLabel: contract.LeaseProxy},
				Annotations: map[string]string{contract.ListeningKey: want},
			}}); err != nil {
				return err
			}
		case lease.Annotations[contract.ListeningKey] != want:
			lease.Annotations[contract.ListeningKey] = want
			if err := d.c.Update(ctx, lease); err != nil {
				return err
			}
		}
	}
	for i := range pods.Items {
		if !has[pods.Items[i].Namespace] {
			if err := d.c.Delete(ctx, &pods.Items[i], client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
				return err
			}
		}
	}
	return nil
}
