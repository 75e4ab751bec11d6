package main

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
)

//go:embed haproxy.cfg.tmpl
var haproxyConfig string

func (s *setting) startHAProxy(name string, tuned bool) error {
	p, err := s.newPlace(name)
	if err != nil {
		return err
	}
	config := filepath.Join(p.Folder, "haproxy.cfg")
	values := struct {
		place
		Tuned bool
	}{p, tuned}
	if err := writeConfig(config, haproxyConfig, values); err != nil {
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
