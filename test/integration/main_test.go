//go:build integration

package integration

import (
	"context"
	"os"
	"testing"

	"tpa.dev/tpa/test/apiserver"
)

// server is the API server of all tests; each has a namespace of its own.
var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Options{}, func(_ context.Context, s *apiserver.Server) (int, error) {
		server = s
		return m.Run(), nil
	}))
}
