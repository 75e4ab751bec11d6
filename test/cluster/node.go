package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pauseImage is the image of every pod's first container.
const pauseImage = "tpa.test/pause:1"

// fixedPaths are directories that kubelet and CNI use whatever they are told. Each
// node sees its own there.
var fixedPaths = []string{"/var/lib/kubelet", "/var/lib/cni", "/var/log/containers"}

// node is a node while up starts it. Its thread lives in the node's network namespace
// and in a mount namespace of its own, and so does all that is started from it: the
// mounts of kubelet, containerd and pods end with the last of their processes and
// never show on the machine, and paths such as /run/containerd are free on every node.
type node struct {
	n    int
	run  *starter
	work chan func()
}

// newNode prepares the directories of node n and its thread.
func newNode(c *cluster, run *starter, n int) (*node, error) {
	dir := c.path(nodeName(n))
	for _, sub := range []string{"kubelet", "containerd", "cni", "pod-logs"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	for _, path := range fixedPaths {
		if err := os.MkdirAll(filepath.Join(dir, "fixed", path), 0o755); err != nil {
			return nil, err
		}
	}
	for file, content := range map[string]string{
		"containerd.toml":     containerdConfig(),
		"cni/10-tpa.conflist": cniConfig(n),
		"kubelet.yaml":        kubeletConfig(c, n),
		"kube-proxy.yaml":     kubeProxyConfig(c, n),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	node := &node{n: n, run: run, work: make(chan func())}
	entered := make(chan error)
	go node.serve(dir, entered)
	if err := <-entered; err != nil {
		return nil, fmt.Errorf("%s: %w", nodeName(n), err)
	}
	return node, nil
}

// serve is the node's thread. It ends with up, and the namespaces go on with the
// processes in them.
func (node *node) serve(dir string, entered chan<- error) {
	runtime.LockOSThread()
	entered <- node.enter(dir)
	for do := range node.work {
		do()
	}
}

func (node *node) enter(dir string) error {
	if err := enterNetns(nodeNetns(node.n)); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	source, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	defer unix.Close(source)
	mount := func(from, to, kind string, flags uintptr) {
		if err == nil {
			if e := unix.Mount(from, to, kind, flags, ""); e != nil {
				err = fmt.Errorf("mount %s: %w", to, e)
			}
		}
	}
	// Nothing gets out; within, containers may share mounts as on any node.
	mount("", "/", "", unix.MS_REC|unix.MS_SLAVE)
	mount("", "/", "", unix.MS_REC|unix.MS_SHARED)
	mount("tpa", "/run", "tmpfs", 0)
	if err == nil {
		err = os.MkdirAll("/run/tpa", 0o755)
	}
	// Through the short path, as a unix socket's has 108 bytes at most.
	mount(fmt.Sprintf("/proc/self/fd/%d", source), "/run/tpa", "", unix.MS_BIND)
	for _, path := range fixedPaths {
		mount(filepath.Join("/run/tpa/fixed", path), path, "", unix.MS_BIND)
	}
	return err
}

// start starts a component of this node.
func (node *node) start(name string, env []string, argv ...string) (*component, error) {
	var started *component
	var err error
	done := make(chan struct{})
	node.work <- func() {
		started, err = node.run.start(name, env, argv)
		close(done)
	}
	<-done
	return started, err
}

// startContainerd starts the node's containerd and gives it the pause image.
func (node *node) startContainerd(ctx context.Context, pause string) error {
	name := "containerd-" + nodeName(node.n)
	containerd, err := node.start(name, nil, "/usr/bin/containerd", "--config", "/run/tpa/containerd.toml")
	if err != nil {
		return err
	}
	socket := containerdSocket(containerd.PID)
	err = containerd.until(ctx, "answering", 30*time.Second, func() error {
		_, err := ctr(ctx, socket, "version")
		return err
	})
	if err != nil {
		return err
	}
	return importImages(ctx, socket, []string{pause})
}

// startKubelet starts what makes a node of it, once API server and containerd answer.
func (node *node) startKubelet(cache string) error {
	name := nodeName(node.n)
	if _, err := node.start("kubelet-"+name, nil, cache+"/kube", "kubelet",
		"--config=/run/tpa/kubelet.yaml",
		"--kubeconfig="+node.run.c.path("pki", name+".kubeconfig"),
		"--root-dir=/run/tpa/kubelet",
		"--cert-dir=/run/tpa/kubelet/pki",
		"--hostname-override="+name,
		"--node-ip="+nodeIP(node.n)); err != nil {
		return err
	}
	_, err := node.start("kube-proxy-"+name, nil, cache+"/kube", "kube-proxy", "--config=/run/tpa/kube-proxy.yaml")
	return err
}

// containerdSocket reaches into the mount namespace of a containerd.
func containerdSocket(pid int) string {
	return fmt.Sprintf("/proc/%d/root/run/containerd/containerd.sock", pid)
}

// ctr runs containerd's client and returns what it says. It would outlive an up that
// is killed, for as long as it waits for its daemon; so it is put where down looks.
func ctr(ctx context.Context, socket string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "ctr", append([]string{"-a", socket, "-n", "k8s.io"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := startOurs(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", args[0], err, bytes.TrimSpace(out.Bytes()))
	}
	return out.String(), nil
}

// importImages brings archives into one containerd and waits until its Kubernetes
// side knows them; it learns of them by an event, and a pod with imagePullPolicy
// Never that starts before that fails.
func importImages(ctx context.Context, socket string, archives []string) error {
	var names []string
	for _, archive := range archives {
		tags, err := archiveTags(archive)
		if err != nil {
			return fmt.Errorf("image %s: %w", archive, err)
		}
		names = append(names, tags...)
		if _, err := ctr(ctx, socket, "images", "import", archive); err != nil {
			return fmt.Errorf("image %s: %w", archive, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		known, err := ctr(ctx, socket, "images", "ls", "-q", `labels."io.cri-containerd.image"==managed`)
		if err == nil && containsAll(strings.Fields(known), names) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("images %v are not known to the kubelet's side of containerd", names), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// containsAll says whether each name is among the known ones, which are spelled out
// in full: docker.io/library/app:1 for app:1.
func containsAll(known, names []string) bool {
	for _, name := range names {
		found := false
		for _, k := range known {
			found = found || k == name || strings.HasSuffix(k, "/"+name)
		}
		if !found {
			return false
		}
	}
	return true
}
