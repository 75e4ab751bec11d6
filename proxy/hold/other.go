//go:build !linux || portable

package hold

import (
	"context"

	"tpa.dev/tpa/proxy/tcp"
)

// Watch does nothing: without a way to look at a connection and leave its bytes, a client that has gone keeps its place
// until the wait ends.
func Watch(*tcp.Conn, func()) (stop func()) { return func() {} }

// FirstByte does not wait: every connection counts as one that sends.
func FirstByte(context.Context, *tcp.Conn) error { return nil }
