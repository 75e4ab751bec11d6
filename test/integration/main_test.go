//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"testing"

	"tpa.dev/tpa/test/apiserver"
)

// server is the API server of all tests; each has a namespace of its own.
var server *apiserver.Server

func TestMain(m *testing.M) {
	var err error
	if server, err = apiserver.Start(context.Background(), apiserver.Options{}); err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		code = 1
	}
	os.Exit(code)
}
