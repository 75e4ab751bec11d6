//go:build integration

package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"tpa.dev/tpa/test/apiserver"
)

// server is an API server that knows cert-manager's kinds, and nothing of TPA. Each test leaves it as it was.
var server *apiserver.Server

func TestMain(m *testing.M) {
	ctx := context.Background()
	var err error
	if server, err = apiserver.Start(ctx, apiserver.Options{Bare: true}); err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(1)
	}
	code := 1
	if err := certManager(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
	} else {
		code = m.Run()
	}
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		code = 1
	}
	os.Exit(code)
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
