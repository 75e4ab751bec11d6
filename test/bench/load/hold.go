package load

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// hold makes connections that stay open until the client ends: silent ones, after a message has gone both ways.
func hold(job Job) (Result, error) {
	for i := range job.Conns {
		fd, err := dial(job.Address)
		if err != nil {
			return Result{}, fmt.Errorf("connection %d: %w", i, err)
		}
		if err := exchange(fd, uint64(i)); err != nil {
			_ = unix.Close(fd)
			return Result{}, fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return Result{Units: float64(job.Conns)}, nil
}
