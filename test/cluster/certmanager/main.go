// Command certmanager runs cert-manager's own controllers and its cainjector in
// one process against the cluster that KUBECONFIG names.
//
// cert-manager publishes its commands only inside images, but its controllers
// are importable packages that register themselves. Wired here are the self-signed
// and CA issuers, which is what TPA's manifests use; ACME, Vault and Venafi would
// bring in cloud SDKs by the dozen. There is no admission webhook: the API server
// still validates against the CRD schemas.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	"github.com/cert-manager/cert-manager/pkg/util"
)

// namespace is where ClusterIssuers find their Secrets, as in cert-manager's own
// manifests.
const namespace = "cert-manager"

// healthAddress is listened on once every controller has seen the cluster.
const healthAddress = "127.0.0.1:9402"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Getenv("KUBECONFIG")); err != nil {
		fmt.Fprintln(os.Stderr, "certmanager:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig string) error {
	ctrl.SetLogger(klog.Background())
	group, ctx := errgroup.WithContext(ctx)
	var synced sync.WaitGroup
	synced.Add(2)
	group.Go(func() error { return runIssuing(ctx, kubeconfig, synced.Done) })
	group.Go(func() error { return runInjecting(ctx, kubeconfig, synced.Done) })
	go func() {
		synced.Wait()
		if err := http.ListenAndServe(healthAddress, http.NotFoundHandler()); err != nil {
			klog.ErrorS(err, "health")
		}
	}()
	return group.Wait()
}

// runIssuing runs every issuing controller that this program imports.
func runIssuing(ctx context.Context, kubeconfig string, synced func()) error {
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig:         kubeconfig,
		KubernetesAPIQPS:   50,
		KubernetesAPIBurst: 100,
		IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: namespace},
		CertificateOptions: controller.CertificateOptions{
			CertificateRequestMinimumBackoffDuration: time.Hour,
			CertificateRequestMaximumBackoffDuration: 32 * time.Hour,
		},
		SchedulerOptions: controller.SchedulerOptions{MaxConcurrentChallenges: 1},
	})
	if err != nil {
		return fmt.Errorf("controller context: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	var ready []controller.Interface
	for name, construct := range controller.Known() {
		c, err := construct(factory)
		if err != nil {
			return fmt.Errorf("controller %s: %w", name, err)
		}
		ready = append(ready, c)
	}
	// The informers exist only once every constructor has asked for its own.
	shared, err := factory.Build()
	if err != nil {
		return fmt.Errorf("shared informers: %w", err)
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.SharedInformerFactory.WaitForCacheSync(ctx.Done())
	shared.KubeSharedInformerFactory.WaitForCacheSync(ctx.Done())
	synced()
	for _, c := range ready {
		group.Go(func() error { return c.Run(2, ctx) })
	}
	return group.Wait()
}

// runInjecting writes CA bundles into annotated webhook configurations.
func runInjecting(ctx context.Context, kubeconfig string, synced func()) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("cainjector: %w", err)
	}
	types := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, cmapi.AddToScheme, admissionv1.AddToScheme} {
		if err := add(types); err != nil {
			return fmt.Errorf("cainjector: %w", err)
		}
	}
	// The injector applies as the field manager that its user agent names.
	config = util.RestConfigWithUserAgent(config, "cainjector")
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  types,
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		return fmt.Errorf("cainjector: %w", err)
	}
	err = cainjector.RegisterAllInjectors(ctx, manager, cainjector.SetupOptions{
		EnableCertificatesDataSource: true,
		EnabledReconcilersFor: map[string]bool{
			cainjector.MutatingWebhookConfigurationName:   true,
			cainjector.ValidatingWebhookConfigurationName: true,
		},
	})
	if err != nil {
		return fmt.Errorf("cainjector: %w", err)
	}
	go func() {
		if manager.GetCache().WaitForCacheSync(ctx) {
			synced()
		}
	}()
	return manager.Start(ctx)
}
