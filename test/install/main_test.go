//go:build integration

package install

import (
	"context"
	"errors"
	"os"
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
	if err := server.CertManager(ctx); err != nil {
		return 0, err
	}
	stop, err := server.Play(ctx, apiserver.PlayOptions{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return m.Run(), nil
}
