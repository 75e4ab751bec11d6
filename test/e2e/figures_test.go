//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/test/stat"
)

const (
	// rounds is how often each wake is measured. `make bench-wake` does it more often, and tells where the time goes.
	rounds = 5
	// tooSlow is a ratio that no noise of the machine explains: through TPA a wake takes about as long as by hand.
	tooSlow = 1.5
)

// TestFigures measures how long a wake takes beside the same without TPA, what an idle proxy needs, and what a round of
// sleep and wake costs the API server. It judges what is far off only.
func TestFigures(t *testing.T) {
	f := setUp(t)
	plain := f.app("plain", 1) // scaled by kubectl
	app := f.app("web", 1)
	for _, a := range []*kit.App{&plain, &app} {
		a.NoProbe = true // a wake is not to wait for the kubelet's next look
		a.Args = []string{"--stop-delay=0s"}
	}
	f.create(plain.Deployment(), plain.Service(nil))
	f.ready("plain", 1)
	f.reachable(address(f.service("plain"), 80))
	s := f.start(app, idle)
	f.proxied(address(s, 80))
	f.scaleToZero("plain")
	f.asleep("web")

	leases := follow[*coordinationv1.Lease](f, &coordinationv1.LeaseList{})
	deployments := f.followDeployment("web")
	events := follow[*corev1.Event](f, &corev1.EventList{})
	services := f.followService("web")
	before := events.Len()
	writes := func() string {
		said := slices.DeleteFunc(events.Since(before), func(c kit.Change[*corev1.Event]) bool {
			return !strings.HasPrefix(c.Object.ReportingController, "tpa")
		})
		line := fmt.Sprintf("%d scale, %d service, %d event", len(scalings(deployments.Since(0)))-1, services.Len()-1, len(said))
		perLease := map[string]int{}
		for _, c := range leases.Since(0) {
			perLease[c.Object.Name]++
		}
		for name, n := range perLease {
			line += fmt.Sprintf(", %d %s", n-1, name)
		}
		return line
	}
	var through, direct []time.Duration
	for range rounds {
		through = append(through, f.timeWake(address(s, 80)))
		direct = append(direct, f.timeScale("plain"))
		f.asleep("web")
	}
	t.Logf("API writes of %d sleep/wake rounds: %s", rounds, writes())
	t.Logf("wake through TPA:                      %s", summary(through))
	t.Logf("kubectl scale, ClusterIP asked at 10ms: %s", summary(direct))
	ratio := float64(stat.Median(through)) / float64(stat.Median(direct))
	t.Logf("ratio of the medians: %.2f", ratio)
	if ratio > tooSlow {
		t.Errorf("a wake through TPA takes %.2f as long as one by hand, want %.1f at most", ratio, tooSlow)
	}
	f.wait("the proxies to have measured each stage of each wake once", f.stagesMeasured(rounds))
	for _, p := range f.proxies() {
		bytes, err := kit.Memory(&p)
		f.must(err)
		t.Logf("memory of idle proxy %s: %.1f MiB resident", p.Name, float64(bytes)/(1<<20))
	}
}

// stagesMeasured looks whether the proxies' metrics have so many times of each stage of a wake.
func (f *fixture) stagesMeasured(wakes float64) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		counts := map[string]float64{}
		for _, p := range f.proxies() {
			text, err := kit.Get(ctx, fmt.Sprintf("http://%s:%d/metrics", p.Status.PodIP, contract.AdminPort))
			if err != nil {
				return false, err.Error()
			}
			for series, n := range samples(string(text), "tpa_wake_stage_seconds_count") {
				counts[series] += n
			}
		}
		for _, stage := range []string{"decide", "scale", "ready", "notice", "dial"} {
			series := fmt.Sprintf("tpa_wake_stage_seconds_count{namespace=%q,stage=%q,target=%q}", f.ns, stage, "deployment/web")
			if counts[series] != wakes {
				return false, fmt.Sprintf("%v of %s", counts, series)
			}
		}
		return true, ""
	}
}

// timeWake is how long a request to a Service that sleeps takes.
func (f *fixture) timeWake(address string) time.Duration {
	f.Helper()
	start := time.Now()
	f.askOnce(address)
	return time.Since(start)
}

// timeScale is how long it takes from `kubectl scale` to an answer through the ClusterIP. It leaves the app at 0 again,
// so that kube-proxy has long taken note of that when the next round begins.
func (f *fixture) timeScale(name string) time.Duration {
	f.Helper()
	to := address(f.service(name), 80)
	defer f.scaleToZero(name)
	start := time.Now()
	f.scale(name, 1)
	for ; ; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			f.Fatalf("%s was not up within %s of kubectl scale", name, patience)
		}
		ctx, cancel := context.WithTimeout(f.ctx, 200*time.Millisecond)
		conn, err := f.far.Open(ctx, to)
		cancel()
		if err != nil {
			continue
		}
		_, err = conn.Ask(time.Second)
		conn.Close()
		if err == nil {
			return time.Since(start)
		}
	}
}

func (f *fixture) scale(name string, replicas int) {
	f.Helper()
	_, err := f.kubectl("", "scale", "deployment", name, fmt.Sprintf("--replicas=%d", replicas))
	f.must(err)
}

func (f *fixture) scaleToZero(name string) {
	f.Helper()
	f.scale(name, 0)
	f.wait("no pod of "+name, f.noPod(name))
}

func summary(times []time.Duration) string {
	var all []string
	for _, d := range times {
		all = append(all, fmt.Sprint(d.Milliseconds()))
	}
	return fmt.Sprintf("median %d ms, worst %d ms (%s)", stat.Median(times).Milliseconds(), slices.Max(times).Milliseconds(),
		strings.Join(all, " "))
}
