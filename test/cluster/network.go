package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Addresses are of the range set aside for benchmarks (RFC 2544), which no network
// that this machine is part of should use; they exist inside the nodes' network
// namespaces only.
const (
	maxNodes     = 4
	serviceRange = "198.18.0.0/17"
	podRange     = "198.18.128.0/17"
	apiClusterIP = "198.18.0.1"
	apiURL       = "https://198.19.0.1:6443"
)

func nodeName(n int) string   { return fmt.Sprintf("node%d", n) }
func nodeIP(n int) string     { return fmt.Sprintf("198.19.0.%d", n) }
func podSubnet(n int) string  { return fmt.Sprintf("198.18.%d.0/24", 127+n) }
func nodeCgroup(n int) string { return own(nodeName(n)) }

// netnsDir is where `ip netns` looks, so that it shows the nodes to a person.
const netnsDir = "/run/netns"

func nodeNetns(n int) string { return filepath.Join(netnsDir, own(nodeName(n))) }

// createNetns makes a network namespace that lives on without a process. It is what
// `ip netns add` does, but for turning /run/netns into a mount that would stay behind.
func createNetns(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	file.Close()
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		own := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		if err := unix.Mount(own, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount: %w", err)
		}
		return nil
	})
}

// inNetns runs do on a thread inside a network namespace. Sockets and processes that
// do opens stay there.
func inNetns(path string, do func() error) error {
	return onThread(func() error {
		if err := enterNetns(path); err != nil {
			return err
		}
		return do()
	})
}

// onThread runs do on an operating system thread of its own, which ends with it: it
// may change the thread's namespaces at will.
func onThread(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread must not be used again
		done <- do()
	}()
	return <-done
}

func enterNetns(path string) error {
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network namespace %s: %w", path, err)
	}
	return nil
}

// createNetwork makes the nodes' namespaces and joins them. Node 1 has a bridge that
// carries its address; each further node has a cable into that bridge.
func createNetwork(nodes int) error {
	for n := 1; n <= nodes; n++ {
		if err := createNetns(nodeNetns(n)); err != nil {
			return fmt.Errorf("network of %s: %w", nodeName(n), err)
		}
	}
	for n := 1; n <= nodes; n++ {
		if err := inNetns(nodeNetns(n), func() error { return setUpNode(n, nodes) }); err != nil {
			return fmt.Errorf("network of %s: %w", nodeName(n), err)
		}
	}
	return nil
}

// setUpNode gives the current namespace, that of node n, its links and routes. The
// nodes are set up in order: the first one's bridge exists when the others plug in.
func setUpNode(n, nodes int) error {
	commands := []string{"link set lo up"}
	device := "tpa0"
	if n == 1 {
		commands = append(commands, "link add tpa0 type bridge forward_delay 0")
	} else {
		device = "eth0"
		// The far end is made inside node 1 directly: the machine's own namespace
		// never sees either of them.
		port := nodePort(n)
		err := inNetns(nodeNetns(1), func() error {
			return ip(
				fmt.Sprintf("link add %s type veth peer name eth0 netns %s", port, own(nodeName(n))),
				fmt.Sprintf("link set %s master tpa0 up", port))
		})
		if err != nil {
			return err
		}
	}
	commands = append(commands,
		fmt.Sprintf("addr add %s/24 dev %s", nodeIP(n), device),
		fmt.Sprintf("link set %s up", device),
		// A ClusterIP is looked up in the routing table before it is rewritten.
		fmt.Sprintf("route add default dev %s", device))
	for other := 1; other <= nodes; other++ {
		if other != n {
			commands = append(commands, fmt.Sprintf("route add %s via %s", podSubnet(other), nodeIP(other)))
		}
	}
	if err := ip(commands...); err != nil {
		return err
	}
	for _, key := range []string{"net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"} {
		if err := os.WriteFile("/proc/sys/"+key, []byte("1"), 0); err != nil {
			return fmt.Errorf("sysctl: %w", err)
		}
	}
	return nil
}

// ip runs iproute2 commands in the current thread's namespace.
func ip(commands ...string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// removeNetwork takes the names of the namespaces away; the kernel takes the rest
// once no process is left in them.
func removeNetwork() error {
	paths, _ := filepath.Glob(filepath.Join(netnsDir, own("node*")))
	var errs []error
	for _, path := range paths {
		// A file without a mount is what a crash in createNetns leaves.
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", path, err))
		}
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}
