package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Namespace is TPA's own.
const Namespace = "tpa-system"

// Self is the user name of TPA's webhook and controller.
const Self = "system:serviceaccount:" + Namespace + ":tpa-webhook"

// Options say what runs. The zero value is an API server with TPA's rights and admission.
type Options struct {
	// NoAdmission leaves TPA's webhook configuration out: for who brings an admission of their own.
	NoAdmission bool
	// Bare leaves all of TPA out, its namespace and rights, too: for who installs it.
	Bare bool
	// ServerArgs are further flags of the API server, by name without the dashes.
	ServerArgs map[string]string
}

// Server is an API server that runs.
type Server struct {
	// Config and Admin are the administrator's.
	Config *rest.Config
	Admin  client.WithWatch

	env   *envtest.Environment
	users sync.Mutex // envtest makes one certificate at a time
	stop  context.CancelFunc
	done  chan error
	dir   string
}

// Start starts an API server and waits until it, and TPA's admission, answer. Stop ends it.
func Start(ctx context.Context, o Options) (*Server, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("KUBEBUILDER_ASSETS is not set: `make integration` sets it, or KUBEBUILDER_ASSETS=$(bin/cluster programs)")
	}
	s := &Server{env: &envtest.Environment{}}
	plane := &s.env.ControlPlane
	plane.Etcd = &envtest.Etcd{}
	plane.Etcd.Configure().Append("unsafe-no-fsync") // what ends with the test needs no disk that is in step
	plane.APIServer = &envtest.APIServer{}
	plane.GetAPIServer().Configure().
		// Two families, and room for thousands of Services; nobody ever calls these addresses.
		Set("service-cluster-ip-range", "198.18.0.0/17,fd00:18::/112").
		Set("authorization-mode", "RBAC")
	for name, value := range o.ServerArgs {
		plane.APIServer.Configure().Set(name, value)
	}
	if !o.NoAdmission && !o.Bare {
		hooks, err := webhooks()
		if err != nil {
			return nil, err
		}
		s.env.WebhookInstallOptions.MutatingWebhooks = hooks
	}
	config, err := s.env.Start()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start an API server: %w", err), s.env.Stop())
	}
	s.Config = rest.CopyConfig(config)
	s.Config.QPS = -1
	s.Config.WarningHandler = rest.NoWarnings{}
	if err := s.prepare(ctx, o); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// prepare brings TPA's own objects, and its admission if it is wanted.
func (s *Server) prepare(ctx context.Context, o Options) (err error) {
	if s.dir, err = os.MkdirTemp("", "tpa-apiserver-"); err != nil {
		return err
	}
	if s.Admin, err = client.NewWithWatch(s.Config, client.Options{}); err != nil {
		return fmt.Errorf("connect as the administrator: %w", err)
	}
	if o.Bare {
		return nil
	}
	own := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}
	if err := s.Admin.Create(ctx, own); err != nil {
		return fmt.Errorf("create namespace %s: %w", Namespace, err)
	}
	if err := s.applyRights(ctx); err != nil {
		return err
	}
	if o.NoAdmission {
		return nil
	}
	return s.serveAdmission(ctx)
}

// Stop ends the API server and all that Start began.
func (s *Server) Stop() error {
	var errs []error
	if s.stop != nil {
		s.stop()
		errs = append(errs, <-s.done)
	}
	errs = append(errs, s.env.Stop())
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// manifest returns the path of a file of the kustomize base.
func manifest(name string) string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../../manifests/base", name)
}
