package main

import (
	_ "embed"
	"os/exec"
	"path/filepath"

	"tpa.dev/tpa/test/bench/report"
)

//go:embed nginx.conf.tmpl
var nginxConfig string

func (s *setting) startNginx(p place) error {
	config := filepath.Join(p.Folder, "nginx.conf")
	if err := writeConfig(config, nginxConfig, p); err != nil {
		return err
	}
	return s.startArm(report.Nginx, p, exec.Command("nginx", "-p", p.Folder, "-e", "stderr", "-c", config))
}
