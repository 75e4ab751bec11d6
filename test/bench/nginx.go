package main

import (
	_ "embed"
	"os/exec"
	"path/filepath"
)

//go:embed nginx.conf.tmpl
var nginxConfig string

func (s *setting) startNginx(name string) error {
	p, err := s.newPlace(name)
	if err != nil {
		return err
	}
	config := filepath.Join(p.Folder, "nginx.conf")
	if err := writeConfig(config, nginxConfig, p); err != nil {
		return err
	}
	return s.startArm(name, p, exec.Command("nginx", "-p", p.Folder, "-e", "stderr", "-c", config))
}
