package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestLocalFault(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{syscall.EMFILE, true},
		{syscall.ENFILE, true},
		{syscall.ENOBUFS, true},
		{syscall.ENOMEM, true},
		{syscall.EADDRNOTAVAIL, true},
		{syscall.EADDRINUSE, true},
		{&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}, true},
		{fmt.Errorf("connect to 10.0.0.1:80: %w", syscall.EADDRNOTAVAIL), true},

		{syscall.ECONNREFUSED, false},
		{syscall.ECONNRESET, false},
		{syscall.ETIMEDOUT, false},
		{syscall.EHOSTUNREACH, false},
		{syscall.ENETUNREACH, false},
		{syscall.EAFNOSUPPORT, false}, // a pod of a family that this one does not have: others may do
		{syscall.EPERM, false},        // a policy about that pod
		{&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, false},
		{os.ErrDeadlineExceeded, false},
		{context.Canceled, false},
		{io.EOF, false},
		{errors.New("too many open files"), false}, // only the number counts
		{nil, false},
	} {
		if got := localFault(tc.err); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.err, got, tc.want)
		}
	}
}
