package backend

import (
	"errors"
	"syscall"
)

// localFault reports whether a connect failed for want of something on this side: descriptors, memory, or a free port
// towards that one address. The backend is then as good as before, and to avoid it would only move its connections to
// others, which fail alike. The next attempt still has to wait: what was missing is not back at once.
//
// Unreachable networks and hosts are not local: they concern one backend, whoever reports them.
func localFault(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, // descriptors of the process, of the system
		syscall.ENOBUFS, syscall.ENOMEM,
		syscall.EADDRNOTAVAIL, // all ephemeral ports lead to that address already, or wait in TIME_WAIT
		syscall.EADDRINUSE:    // the same, of a port that was asked for
		return true
	}
	return false
}
