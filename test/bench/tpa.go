package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// startTPA starts a build of TPA's proxy as an arm.
func (s *setting) startTPA(ctx context.Context, b build) error {
	p, err := s.newPlace(b.arm)
	if err != nil {
		return err
	}
	c, err := newCluster(ctx, s.api, b.arm+"-"+s.name, p, 1, s.server)
	if err != nil {
		return err
	}
	if err := c.ready(ctx); err != nil {
		return err
	}
	cmd, err := c.command(b, p)
	if err != nil {
		return err
	}
	return s.startArm(b.arm, p, cmd)
}

// command runs a build of TPA's proxy with what the controller gives it. Only its ends are shorter.
func (c *cluster) command(b build, p place) (*exec.Cmd, error) {
	program := filepath.Join(p.Folder, "proxy") // where its user may go, and nobody builds it anew during the run
	if err := copyProgram(program, b.path); err != nil {
		return nil, fmt.Errorf("%s: %w", b.arm, err)
	}
	cmd := exec.Command(program, "--admin-address="+address("127.0.0.1", p.Admin), "--shutdown-delay=0s", "--drain-timeout=0s")
	cmd.Env = []string{
		"HOME=/", "KUBECONFIG=" + c.kubeconfig, "POD_NAMESPACE=" + c.namespace, "POD_NAME=" + c.proxy.Name, "POD_UID=" + string(c.proxy.UID),
	}
	return cmd, nil
}

func copyProgram(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, in)
	return err
}
