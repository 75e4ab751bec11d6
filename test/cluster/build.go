package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// What the cluster is made of. The nested modules' go.mod files pin the same.
const (
	kubernetesVersion  = "v1.36.3"
	etcdVersion        = "v3.6.16"
	certManagerVersion = "v1.21.2"
)

// build is one program made from a nested module.
type build struct {
	out, module, pkg, ldflags string
	what, hint                string
}

func builds() []build {
	version := "k8s.io/component-base/version."
	parts := strings.SplitN(strings.TrimPrefix(kubernetesVersion, "v"), ".", 3)
	return []build{
		// A client that reads v0.0.0-master+$Format:... misjudges what the server can do.
		{"kube", "kube", ".", "-X " + version + "gitVersion=" + kubernetesVersion +
			" -X " + version + "gitMajor=" + parts[0] + " -X " + version + "gitMinor=" + parts[1] +
			" -X " + version + "gitTreeState=clean",
			"building Kubernetes " + kubernetesVersion, "first time only, about 6 min on 2 cores"},
		{"certmanager", "certmanager", ".", "",
			"building cert-manager " + certManagerVersion, "first time only, about 2 min on 2 cores"},
		{"etcd", "etcd", "go.etcd.io/etcd/server/v3", "",
			"building etcd " + etcdVersion, "first time only, about 40 s on 2 cores"},
		{"pause", ".", "./pause", "", "building the pause program", ""},
	}
}

// buildPrograms returns the directory with the programs of this version, built if
// they are not there yet. The directory appears complete or not at all.
func (c *cluster) buildPrograms(ctx context.Context, p *progress) (string, error) {
	key, err := c.buildKey()
	if err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	base = filepath.Join(base, "tpa-cluster")
	final := filepath.Join(base, key)
	if _, err := os.Stat(final); err == nil {
		return final, linkKube(final) // a folder of before may lack a name
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	partial := final + ".partial"
	// Up holds the machine's lock: nobody else builds here.
	if err := os.RemoveAll(partial); err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	if err := p.step(ctx, "downloading modules", "first time only, about 1 min", c.downloadModules); err != nil {
		return "", err
	}
	for _, b := range builds() {
		err := p.step(ctx, b.what, b.hint, func(ctx context.Context) error {
			return c.goTool(ctx, b.module, "build", "-trimpath", "-ldflags", "-s -w "+b.ldflags,
				"-o", filepath.Join(partial, b.out), b.pkg)
		})
		if err != nil {
			return "", err
		}
	}
	if err := linkKube(partial); err != nil {
		return "", err
	}
	if err := c.copyCRDs(ctx, filepath.Join(partial, "crds")); err != nil {
		return "", err
	}
	if err := os.Rename(partial, final); err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	return final, nil
}

// programs prints where the programs of this version are, for tests that start an
// API server of their own. Each program is there by its own name.
func (c *cluster) programs(ctx context.Context) error {
	unlock, err := lock("programs")
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.MkdirAll(c.path("logs"), 0o755); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	dir, err := c.buildPrograms(ctx, newProgress(os.Stderr))
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}

// linkKube gives each program inside kube a name of its own.
func linkKube(dir string) error {
	for _, name := range []string{"kubectl", "kube-apiserver"} {
		if err := os.Symlink("kube", filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("build: %w", err)
		}
	}
	return nil
}

// buildKey names a version: the pins, and every file that decides what is built.
func (c *cluster) buildKey() (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, kubernetesVersion, etcdVersion, certManagerVersion, runtime.GOARCH)
	for _, name := range []string{
		"kube/go.mod", "kube/go.sum", "kube/main.go",
		"certmanager/go.mod", "certmanager/go.sum", "certmanager/main.go",
		"etcd/go.mod", "etcd/go.sum", "pause/main.go",
	} {
		data, err := os.ReadFile(filepath.Join(c.root, "test/cluster", name))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(hash, name, len(data))
		hash.Write(data)
	}
	return kubernetesVersion + "-" + hex.EncodeToString(hash.Sum(nil))[:12], nil
}

// downloadModules fetches what the builds need, for all of them at once: the network
// is idle while a compiler runs and the compilers while it does not.
func (c *cluster) downloadModules(ctx context.Context) error {
	var wait sync.WaitGroup
	errs := make([]error, len(builds()))
	for i, b := range builds() {
		wait.Go(func() { errs[i] = c.goTool(ctx, b.module, "list", "-deps", "-f", "{{/**/}}", b.pkg) })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// copyCRDs takes the CRDs out of cert-manager's module, where they are of the very
// version that was compiled.
func (c *cluster) copyCRDs(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager")
	cmd.Dir = filepath.Join(c.root, "test/cluster/certmanager")
	cmd.Env = goEnv()
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("build: cert-manager's CRDs: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "deploy/crds/*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("build: no CRDs in cert-manager's module %s", strings.TrimSpace(string(out)))
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(filepath.Join(to, filepath.Base(file)), data, 0o644)
		}
		if err != nil {
			return fmt.Errorf("build: cert-manager's CRDs: %w", err)
		}
	}
	return nil
}

// goTool runs the go command in a nested module, quietly: a build must not slow down
// the machine of the person who waits for it.
func (c *cluster) goTool(ctx context.Context, module string, args ...string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("build: %w (Go 1.26 or newer is needed)", err)
	}
	log := c.logFile("build-" + strings.ReplaceAll(module, ".", "pause"))
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	defer out.Close()
	// Pdeathsig follows the thread, so this one must stay until the build is over.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "nice", append([]string{"go"}, args...)...)
	cmd.Dir = filepath.Join(c.root, "test/cluster", module)
	cmd.Env = goEnv()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return &componentError{"build of " + module, log, fmt.Errorf("go %s: %w", args[0], err)}
	}
	return nil
}

func goEnv() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false", "GOOS=linux")
}
