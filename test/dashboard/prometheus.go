package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

// address is Prometheus's, within the node.
const address = "127.0.0.1:19090"

// interval is between scrapes, as configuration says.
const interval = 5 * time.Second

// configuration is what the PodMonitors ask for. Debian's Prometheus cannot find pods itself: discover does.
const configuration = `
global: {scrape_interval: 5s, scrape_timeout: 4s}
scrape_configs:
  - job_name: tpa-proxies
    honor_labels: true
    file_sd_configs: [{files: [proxies.json], refresh_interval: 1s}]
  - job_name: tpa-webhook
    honor_labels: true
    scheme: https
    authorization: {credentials_file: token}
    tls_config: {ca_file: ca.crt, server_name: tpa-webhook.tpa-system.svc}
    file_sd_configs: [{files: [webhooks.json], refresh_interval: 1s}]
`

// prometheus is one that runs.
type prometheus struct {
	cmd     *exec.Cmd
	log     string
	cancel  context.CancelFunc
	finding sync.WaitGroup
}

// start starts Prometheus on what prepare wrote, and waits until it answers.
func start(ctx context.Context, c *kit.Cluster, dir string) (*prometheus, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &prometheus{log: log.Name()}
	ctx, p.cancel = context.WithCancel(ctx)
	p.cmd = exec.CommandContext(ctx, "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = time.Minute
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.cancel()
		return nil, err
	}
	p.finding.Go(func() { discover(ctx, c, dir) })
	err = kit.Wait(ctx, time.Minute, "Prometheus to be ready", func(ctx context.Context) (bool, string) {
		_, err := kit.Get(ctx, "http://"+address+"/-/ready")
		return err == nil, fmt.Sprint(err)
	})
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// stop ends it. That it ended before, such as for its port being taken, is an error.
func (p *prometheus) stop() error {
	p.cancel()
	p.finding.Wait()
	if err := p.cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("prometheus, see %s: %w", p.log, err)
	}
	return nil
}

// prepare writes what Prometheus reads into a new folder, with the token that scraper.yaml is for.
func prepare(ctx context.Context, c *kit.Cluster, dir string) error {
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "", "apply", "-f", "manifests/monitoring/scraper.yaml"); err != nil {
		return err
	}
	token, err := secret(ctx, c, "tpa-scraper-token", corev1.ServiceAccountTokenKey)
	if err != nil {
		return err
	}
	ca, err := secret(ctx, c, "tpa-webhook-tls", "ca.crt")
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"prometheus.yml": []byte(configuration), "token": token, "ca.crt": ca} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// secret waits for what a Secret of TPA's has under a key.
func secret(ctx context.Context, c *kit.Cluster, name, key string) ([]byte, error) {
	var s corev1.Secret
	err := kit.Wait(ctx, time.Minute, "secret "+name+" to have "+key, func(ctx context.Context) (bool, string) {
		err := c.Get(ctx, client.ObjectKey{Namespace: kit.SystemNamespace, Name: name}, &s)
		return len(s.Data[key]) > 0, fmt.Sprint(err)
	})
	return s.Data[key], err
}

// group is targets with labels, as file_sd_configs has them.
type group struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// discover says which pods there are, each second until ctx ends. While it cannot tell, those of before are scraped.
func discover(ctx context.Context, c *kit.Cluster, dir string) {
	kinds := []struct {
		file, port string
		labels     client.MatchingLabels
	}{{"proxies.json", "9090", kit.ProxyLabels}, {"webhooks.json", "8443", kit.WebhookLabels}}
	said := map[string][]byte{}
	for ticker := time.NewTicker(time.Second); ; {
		for _, k := range kinds {
			var pods corev1.PodList
			if err := c.List(ctx, &pods, k.labels); err != nil {
				continue
			}
			groups := []group{}
			for _, pod := range pods.Items {
				if pod.Status.Phase == corev1.PodRunning && pod.Status.PodIP != "" {
					labels := map[string]string{"namespace": pod.Namespace, "pod": pod.Name}
					groups = append(groups, group{[]string{net.JoinHostPort(pod.Status.PodIP, k.port)}, labels})
				}
			}
			text, err := json.Marshal(groups)
			if err == nil && !bytes.Equal(text, said[k.file]) && write(filepath.Join(dir, k.file), text) == nil {
				said[k.file] = text
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			ticker.Stop()
			return
		}
	}
}

// write replaces a file that may be read at any time.
func write(name string, text []byte) error {
	if err := os.WriteFile(name+".partial", text, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".partial", name)
}
