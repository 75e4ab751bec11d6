//go:build !portable

package relay

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// roleEnv makes the test binary do one of roles instead: what a test needs in a process of its own.
const roleEnv = "RELAY_TEST_ROLE"

var roles = map[string]func() error{
	"relay": relayRole,
}

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleEnv)]
	if !ok {
		goleak.VerifyTestMain(m)
		return
	}
	if err := role(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
