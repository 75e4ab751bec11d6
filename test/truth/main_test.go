//go:build integration

package truth

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"tpa.dev/tpa/test/apiserver"
)

var (
	server *apiserver.Server
	self   k8s.Client // as TPA's own ServiceAccount
	seen   *recorder
)

// TestMain starts the one API server of the package. The test binary is also the editor that `kubectl edit` opens.
func TestMain(m *testing.M) {
	if name := os.Getenv(editVariable); name != "" {
		if err := editFile(name, os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	log.SetLogger(logr.Discard())
	os.Exit(apiserver.Main(apiserver.Options{}, func(ctx context.Context, s *apiserver.Server) (int, error) {
		server = s
		return run(ctx, m)
	}))
}

func run(ctx context.Context, m *testing.M) (code int, err error) {
	config, err := server.As(apiserver.Self, "system:serviceaccounts", "system:serviceaccounts:"+apiserver.Namespace)
	if err != nil {
		return 0, err
	}
	config.QPS = -1
	if self, err = k8s.New(config, k8s.Options{}); err != nil {
		return 0, err
	}
	if seen, err = record(ctx); err != nil {
		return 0, err
	}
	defer seen.Close()
	return m.Run(), nil
}
