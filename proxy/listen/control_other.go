//go:build !linux

package listen

import "syscall"

// control sets nothing: whether accepted sockets inherit keep-alive is only known of Linux.
func control(_, _ string, _ syscall.RawConn) error { return nil }
