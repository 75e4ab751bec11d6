package main

import (
	"fmt"
	"syscall"
)

// pause keeps components from running until resume: connections to them stay, and nobody answers.
func (c *cluster) pause(names []string) error {
	return c.each("pause", names, signalTo(syscall.SIGSTOP))
}

// resume lets them go on.
func (c *cluster) resume(names []string) error {
	return c.each("resume", names, signalTo(syscall.SIGCONT))
}

func signalTo(signal syscall.Signal) func(*state, *process) error {
	return func(_ *state, p *process) error {
		if !p.alive() {
			return &componentError{p.Name, p.Log, errEnded}
		}
		if err := syscall.Kill(p.PID, signal); err != nil {
			return fmt.Errorf("%s to %s: %w", signal, p.Name, err)
		}
		return nil
	}
}
