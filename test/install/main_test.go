//go:build integration

package install

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"tpa.dev/tpa/test/apiserver"
)

// server is an API server that knows cert-manager's kinds, and nothing of TPA. Each test leaves it as it was.
var server *apiserver.Server

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(apiserver.Main(apiserver.Options{Bare: true}, func(ctx context.Context, s *apiserver.Server) (int, error) {
		server = s
		return run(ctx, m)
	}))
}

// run runs the tests among cert-manager's kinds, and plays pods.
func run(ctx context.Context, m *testing.M) (code int, err error) {
	if err := certManager(ctx); err != nil {
		return 0, err
	}
	stop, err := server.Play(ctx, apiserver.PlayOptions{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return m.Run(), nil
}

// certManager brings cert-manager's CRDs, as they are in its module.
func certManager(ctx context.Context) error {
	crds := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "crds")
	if _, err := server.Kubectl(ctx, "", "create", "-f", crds); err != nil {
		return err
	}
	_, err := server.Kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=1m", "-f", crds)
	return err
}
