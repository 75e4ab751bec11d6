//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

// samples returns the values of those series in a text of metrics whose names begin so.
func samples(text, prefix string) map[string]float64 {
	values := map[string]float64{}
	for line := range strings.Lines(text) {
		series, value, ok := cutLast(strings.TrimSpace(line), " ")
		if number, err := strconv.ParseFloat(value, 64); ok && err == nil && strings.HasPrefix(series, prefix) {
			values[series] = number
		}
	}
	return values
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// inProxies adds up a series of a Service over the proxies; more are its further labels.
func (f *fixture) inProxies(name, service, more string) (sum float64) {
	f.Helper()
	for _, pod := range f.proxies() {
		text, err := kit.Get(f.ctx, "http://"+pod.Status.PodIP+":9090/metrics")
		f.must(err)
		for _, n := range samples(string(text), fmt.Sprintf("%s{namespace=%q,%sservice=%q}", name, f.ns, more, service)) {
			sum += n
		}
	}
	return sum
}

// ended is how many connections to a Service have ended with a result.
func (f *fixture) ended(service, result string) float64 {
	f.Helper()
	return f.inProxies("tpa_connections_total", service, fmt.Sprintf("result=%q,", result))
}

// nobodyHeld waits until no place is taken by a connection to a Service.
func (f *fixture) nobodyHeld(service string) {
	f.Helper()
	f.wait("no connection to be held", func(context.Context) (bool, string) {
		held := f.inProxies("tpa_connections_held", service, "")
		return held == 0, fmt.Sprint(held, " held")
	})
}

// scraper reads the metrics of TPA's webhook as Prometheus would.
type scraper struct {
	f     *fixture
	token string
}

// scraper makes a ServiceAccount that may.
func (f *fixture) scraper() scraper {
	f.Helper()
	run := func(args ...string) string {
		out, err := f.kubectl("", args...)
		f.must(err)
		return strings.TrimSpace(out.Stdout)
	}
	run("create", "serviceaccount", "scraper")
	run("create", "clusterrolebinding", f.ns, "--clusterrole=tpa-metrics-reader", "--serviceaccount="+f.ns+":scraper")
	f.Cleanup(func() {
		if _, err := cluster.Kubectl(context.Background(), "", "delete", "clusterrolebinding", f.ns); err != nil {
			f.Error(err)
		}
	})
	return scraper{f, run("create", "token", "scraper")}
}

// reviews is how many requests each of TPA's webhook pods has reviewed, by the pod's name.
func (s scraper) reviews() map[string]int {
	s.f.Helper()
	var pods corev1.PodList
	s.f.must(cluster.List(s.f.ctx, &pods, client.InNamespace(kit.SystemNamespace), kit.WebhookLabels))
	reviews := map[string]int{}
	for _, pod := range pods.Items {
		if !kit.Ready(&pod) {
			continue
		}
		text, err := s.get("https://" + pod.Status.PodIP + ":8443/metrics")
		s.f.must(err)
		reviews[pod.Name] = 0
		for _, n := range samples(text, "controller_runtime_webhook_requests_total") {
			reviews[pod.Name] += int(n)
		}
	}
	return reviews
}

func (s scraper) get(url string) (string, error) {
	request, err := http.NewRequestWithContext(s.f.ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true} // a certificate of its own
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, response.Status, body)
	}
	return string(body), err
}
