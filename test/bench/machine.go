package main

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machine says what the figures were taken on, and of what.
func machine(o options) map[string]string {
	m := map[string]string{"cpu": cpuModel(), "haproxy": firstLine("haproxy", "-v"), "nginx": firstLine("nginx", "-v")}
	var uname unix.Utsname
	if err := unix.Uname(&uname); err == nil {
		m["kernel"] = unix.ByteSliceToString(uname.Release[:])
	}
	for _, b := range o.builds {
		m[b.arm] = commit(b.path)
	}
	return m
}

func cpuModel() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	model, n := "unknown", 0
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			n++
		}
	}
	return model + ", " + strconv.Itoa(n) + " CPUs"
}

// firstLine is that of what a program prints.
func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// commit is what a Go program was built from, as far as it knows.
func commit(program string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err.Error()
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	text := info.GoVersion + " " + settings["vcs.revision"]
	if settings["vcs.modified"] == "true" {
		text += ", modified"
	}
	return text
}
