package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/bench/meter"
	"tpa.dev/tpa/test/bench/sandbox"
	"tpa.dev/tpa/test/kit"
)

// proxyID is the user that proxies run as: none with rights, as in a cluster.
const proxyID = 65532

// proxy is a proxy of TPA, as the controller deploys it, in a network of its own.
type proxy struct {
	*sandbox.Process
	f       *fleet
	name    string
	network string
	address string
	group   meter.Group
	cmd     func() *exec.Cmd
	starts  int
}

// newProxy starts a proxy of a fleet's namespace, and waits until it is ready. The process may have that many descriptors.
func (f *fleet) newProxy(ctx context.Context, program string, descriptors int, args ...string) (*proxy, error) {
	network, address, err := f.w.newNetwork()
	if err != nil {
		return nil, err
	}
	p := &proxy{f: f, name: f.namespace + "-" + network, network: network, address: address}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: contract.ProxyName + "-" + network, Labels: contract.ProxySelector()},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: contract.ProxyContainer, Image: "tpa-proxy:v1"}}},
	}
	if err := f.w.api.Admin.Create(ctx, pod); err != nil {
		return nil, fmt.Errorf("create pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	folder := filepath.Join(f.w.folder, p.name)
	if err := os.Mkdir(folder, 0o755); err != nil {
		return nil, err
	}
	binary, kubeconfig := filepath.Join(folder, "proxy"), filepath.Join(folder, "kubeconfig")
	if err := errors.Join(copyFile(binary, program, 0o755), f.kubeconfig(kubeconfig)); err != nil {
		return nil, err
	}
	p.cmd = func() *exec.Cmd {
		cmd := exec.Command("/bin/sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, descriptors), binary,
			"--admin-address=" + address + ":9090", "--shutdown-delay=0s", "--drain-timeout=0s"}, args...)...)
		cmd.Env = []string{
			"HOME=/", "KUBECONFIG=" + kubeconfig, "POD_NAMESPACE=" + f.namespace, "POD_NAME=" + pod.Name, "POD_UID=" + string(pod.UID),
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: proxyID, Gid: proxyID}}
		return cmd
	}
	return p, p.start(ctx)
}

// start starts the process, for the first time or again.
func (p *proxy) start(ctx context.Context) (err error) {
	p.starts++
	name := fmt.Sprintf("%s-%d", p.name, p.starts)
	if p.group, err = meter.NewGroup(filepath.Base(p.f.w.folder), name); err != nil {
		return err
	}
	err = kit.InNetns("/run/netns/"+p.network, func() (err error) {
		p.Process, err = sandbox.Start(p.cmd(), filepath.Join(p.f.w.folder, name+".log"), nil)
		return err
	})
	if err == nil {
		err = p.group.Add(p.PID())
	}
	if err != nil {
		return err
	}
	return kit.Wait(ctx, time.Minute, "proxy "+p.name+" to be ready", func(ctx context.Context) (bool, string) {
		_, err := kit.Get(ctx, "http://"+p.address+":9090/readyz")
		return err == nil, fmt.Sprintf("%v: %s", err, p.Tail())
	})
}

// kubeconfig writes one with the rights of the namespace's proxy.
func (f *fleet) kubeconfig(to string) error {
	const accounts = "system:serviceaccounts"
	from, err := f.w.api.Kubeconfig(proxyUser(f.namespace), accounts, accounts+":"+f.namespace)
	if err != nil {
		return err
	}
	return errors.Join(copyFile(to, from, 0o400), os.Chown(to, proxyID, proxyID))
}

func copyFile(to, from string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func (p *proxy) metrics(ctx context.Context) (kit.Metrics, error) {
	return kit.Scrape(ctx, "http://"+p.address+":9090/metrics")
}

// ended is how many connections have ended with a result, of one Service or, for the empty name, of all.
func ended(m kit.Metrics, service, result string) int {
	sum := 0.0
	for sample, value := range m {
		if strings.HasPrefix(sample, "tpa_connections_total{") && strings.Contains(sample, `result="`+result+`"`) &&
			(service == "" || strings.Contains(sample, `service="`+service+`"`)) {
			sum += value
		}
	}
	return int(sum)
}

// refusals are those for want of a place to be held, which also those need that wait for their turn to be connected, or of a
// connection.
func refusals(m kit.Metrics, service string) int {
	return ended(m, service, "refused_budget") + ended(m, service, "refused_full")
}

// footprint is what a proxy holds: its own memory and the kernel's for it, in bytes, descriptors and goroutines.
type footprint struct {
	own, kernel             int64
	descriptors, goroutines int
}

func (f footprint) String() string {
	return fmt.Sprintf("%s and %s in the kernel, %d descriptors, %d goroutines", mib(f.own), mib(f.kernel), f.descriptors, f.goroutines)
}

func mib(bytes int64) string { return strconv.FormatFloat(float64(bytes)/(1<<20), 'f', 1, 64) + " MiB" }

func (p *proxy) footprint(ctx context.Context) (f footprint, err error) {
	if f.own, err = meter.Memory(p.PID()); err != nil {
		return f, err
	}
	if f.kernel, err = p.group.Kernel(); err != nil {
		return f, err
	}
	if f.descriptors, err = meter.Descriptors(p.PID()); err != nil {
		return f, err
	}
	m, err := p.metrics(ctx)
	f.goroutines = int(m.Sum("go_goroutines"))
	return f, err
}

// watchPeak reads the footprint again and again until the returned function is called, which returns the most of each.
// Goroutines are left out: to ask for them takes the proxy's time.
func (p *proxy) watchPeak() (stop func() footprint) {
	const every = 20 * time.Millisecond
	var (
		peak footprint
		end  = make(chan struct{})
		done sync.WaitGroup
	)
	done.Go(func() {
		for {
			own, err1 := meter.Memory(p.PID())
			kernel, err2 := p.group.Kernel()
			descriptors, err3 := meter.Descriptors(p.PID())
			if errors.Join(err1, err2, err3) == nil {
				peak.own, peak.kernel, peak.descriptors = max(peak.own, own), max(peak.kernel, kernel), max(peak.descriptors, descriptors)
			}
			select {
			case <-end:
				return
			case <-time.After(every):
			}
		}
	})
	return func() footprint { close(end); done.Wait(); return peak }
}
