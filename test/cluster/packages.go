package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// packages are the Debian packages a node needs, each with a file that proves it is
// there (also where somebody installed it by other means).
var packages = []struct{ name, proof string }{
	{"containerd", "/usr/bin/containerd"},
	{"runc", "/usr/sbin/runc"},
	{"containernetworking-plugins", "/usr/lib/cni/bridge"},
	{"iptables", "/usr/sbin/iptables"},
	{"nftables", "/usr/sbin/nft"},
	{"conntrack", "/usr/sbin/conntrack"},
	{"iproute2", "/bin/ip"},
	{"buildah", "/usr/bin/buildah"},
	{"busybox-static", "/bin/busybox"},
}

// elsewhere ends every message about a machine that cannot run this cluster.
const elsewhere = "; TPA itself runs on any Kubernetes cluster with cert-manager: `make deploy` installs it there"

func requireRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("the test cluster needs root (it makes namespaces, mounts and cgroups)" + elsewhere)
	}
	return nil
}

// checkMachine refuses what cannot work before anything is built or installed.
func checkMachine() error {
	if err := requireRoot(); err != nil {
		return err
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil || !isDebian(string(release)) {
		return errors.New("the test cluster needs Debian or a derivative (it installs containerd and others with apt-get)" + elsewhere)
	}
	for _, module := range []string{"overlay", "br_netfilter", "veth", "nf_tables"} {
		// Best effort: built into many kernels, and a container has no modprobe.
		_ = exec.Command("modprobe", "-q", module).Run()
	}
	filesystems, _ := os.ReadFile("/proc/filesystems")
	if !bytes.Contains(filesystems, []byte("\toverlay\n")) {
		return errors.New("the test cluster needs overlayfs in the kernel" + elsewhere)
	}
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err != nil {
		return errors.New("the test cluster needs br_netfilter in the kernel (modprobe br_netfilter)" + elsewhere)
	}
	if len(cgroupRoots()) == 0 {
		return errors.New("the test cluster needs the cgroup controllers cpu, memory and pids mounted under /sys/fs/cgroup" + elsewhere)
	}
	return nil
}

// isDebian reads an os-release file: Debian itself, or ID_LIKE=debian.
func isDebian(release string) bool {
	for line := range strings.Lines(release) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key != "ID" && key != "ID_LIKE" {
			continue
		}
		for _, id := range strings.Fields(strings.Trim(value, `"'`)) {
			if id == "debian" {
				return true
			}
		}
	}
	return false
}

func missingPackages() []string {
	var missing []string
	for _, p := range packages {
		if _, err := os.Stat(p.proof); err != nil {
			missing = append(missing, p.name)
		}
	}
	return missing
}

// installPackages installs what is missing, and starts no service: containerd's
// would be a second one, on the whole machine.
func installPackages(ctx context.Context, missing []string, log string) error {
	const policy = "/usr/sbin/policy-rc.d"
	if _, err := os.Stat(policy); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
			return fmt.Errorf("packages: %w", err)
		}
		defer os.Remove(policy)
	}
	install := append([]string{"install", "-y", "-q", "--no-install-recommends"}, missing...)
	if aptGet(ctx, log, install) == nil {
		return nil
	}
	// Most likely the package lists are missing or old.
	if err := aptGet(ctx, log, []string{"update", "-q"}); err != nil {
		return &componentError{"packages", log, fmt.Errorf("apt-get update: %w", err)}
	}
	if err := aptGet(ctx, log, install); err != nil {
		return &componentError{"packages", log, fmt.Errorf("apt-get install %s: %w", strings.Join(missing, " "), err)}
	}
	return nil
}

func aptGet(ctx context.Context, log string, args []string) error {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = out, out
	return cmd.Run()
}
