package main

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"

	"tpa.dev/tpa/test/bench/report"
)

//go:embed haproxy.cfg.tmpl
var haproxyConfig string

func (s *setting) startHAProxy(name string, p place) error {
	config := filepath.Join(p.Folder, "haproxy.cfg")
	err := writeConfig(config, haproxyConfig, struct {
		place
		Tuned bool
	}{p, name == report.HAProxyTuned})
	if err != nil {
		return err
	}
	return s.startArm(name, p, exec.Command("haproxy", "-db", "-f", config))
}

func writeConfig(path, text string, values any) error {
	t, err := template.New(filepath.Base(path)).Parse(text)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return t.Execute(file, values)
}
