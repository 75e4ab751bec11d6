package services

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/proxy/target"
)

// requests is a container that requests so much; empty: nothing.
func requests(cpu, memory string) corev1.Container {
	list := corev1.ResourceList{}
	for name, value := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory} {
		if value != "" {
			list[name] = resource.MustParse(value)
		}
	}
	return corev1.Container{Resources: corev1.ResourceRequirements{Requests: list}}
}

func TestWhatAPodRequests(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	sidecar := requests("100m", "10Mi")
	sidecar.RestartPolicy = &always
	for name, tt := range map[string]struct {
		spec corev1.PodSpec
		want contract.Requests
	}{
		"nothing":      {corev1.PodSpec{Containers: []corev1.Container{requests("", "")}}, contract.Requests{}},
		"one of two":   {corev1.PodSpec{Containers: []corev1.Container{requests("250m", "")}}, contract.Requests{CPU: 0.25}},
		"the sum":      {corev1.PodSpec{Containers: []corev1.Container{requests("1", "1Mi"), requests("500m", "1Mi")}}, contract.Requests{CPU: 1.5, Memory: 2 << 20}},
		"a large init": {corev1.PodSpec{InitContainers: []corev1.Container{requests("2", "1Mi")}, Containers: []corev1.Container{requests("1", "4Mi")}}, contract.Requests{CPU: 2, Memory: 4 << 20}},
		"a sidecar":    {corev1.PodSpec{InitContainers: []corev1.Container{sidecar}, Containers: []corev1.Container{requests("1", "4Mi")}}, contract.Requests{CPU: 1.1, Memory: 14 << 20}},
	} {
		kept := StripPod(&corev1.Pod{Spec: tt.spec})
		if diff := cmp.Diff(tt.want, requested([]*corev1.Pod{kept, {}})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPlanKnowsWhatTheTargetsPodsRequest(t *testing.T) {
	w := worldOf(active("web", 20001))
	if got := w.Plan().Targets[web].Pod; got != (contract.Requests{}) {
		t.Errorf("%+v without a pod", got)
	}
	pod := makePod("a", "web", "10.0.0.1").obj()
	pod.Spec.Containers = append(pod.Spec.Containers, requests("250m", "1Mi"))
	w.Pods = append(w.Pods, StripPod(pod))
	if got, want := w.Plan().Targets[web].Pod, (contract.Requests{CPU: 0.25, Memory: 1 << 20}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// transport answers with a status, or an error.
type transport struct {
	code int
	err  error
}

func (t transport) RoundTrip(*http.Request) (*http.Response, error) {
	if t.err != nil {
		return nil, t.err
	}
	return &http.Response{StatusCode: t.code, Body: http.NoBody}, nil
}

func TestAPIErrors(t *testing.T) {
	e := newAPIErrors("shop")
	for _, answer := range []transport{
		{code: 200}, {code: 201}, {code: 404}, {code: 409}, {err: context.Canceled}, // no errors
		{code: 403}, {code: 403}, {code: 500}, {err: errors.New("refused")}, {err: context.DeadlineExceeded},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := e.wrap(answer).RoundTrip(request)
		if !errors.Is(err, answer.err) || err == nil && response.StatusCode != answer.code {
			t.Errorf("%v: %v, %v", answer, response, err)
		}
		if err == nil {
			_ = response.Body.Close()
		}
	}
	want := `
# HELP tpa_api_errors_total Requests to the API server that failed, by the HTTP status of the answer; none if there was no answer. 404 and 409, which are part of the protocol, do not count.
# TYPE tpa_api_errors_total counter
tpa_api_errors_total{code="403",namespace="shop"} 2
tpa_api_errors_total{code="500",namespace="shop"} 1
tpa_api_errors_total{code="none",namespace="shop"} 2
`
	if err := testutil.CollectAndCompare(e.byCode, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// Where clocks differ, a counter stays where it is for a moment. It falls with a history that begins anew.
func TestCountersDoNotFall(t *testing.T) {
	m := newMetrics("shop")
	for _, tt := range []struct{ is, want float64 }{{100, 100}, {90, 100}, {101, 101}, {101, 101}, {30, 30}, {31, 31}} {
		h := contract.History{Asleep: tt.is, Saved: contract.Saved{Replicas: 2 * tt.is}}
		if got := m.show(web, h); got.Asleep != tt.want || got.Saved.Replicas != 2*tt.want {
			t.Errorf("%g: shown %+v, want %g", tt.is, got, tt.want)
		}
	}
}

// Nor do those of a sleep that would be, when fewer pods are ready than before, or when it is lost: the controller claims the target.
func TestCountersOfTheObservedDoNotFall(t *testing.T) {
	observed := func(sleeps int64, asleep, replicas float64) contract.Observed {
		return contract.Observed{Sleeps: sleeps, Asleep: asleep, Saved: contract.Saved{Replicas: replicas}}
	}
	m := newMetrics("shop")
	for i, tt := range []struct{ is, want contract.Observed }{
		{observed(5, 100, 300), observed(5, 100, 300)},
		{observed(5, 110, 220), observed(5, 110, 300)},
		{observed(5, 960, 1920), observed(5, 960, 1920)},
		{observed(5, 200, 400), observed(5, 960, 1920)}, // written by a proxy that saw less of it
		{observed(4, 90, 270), observed(5, 960, 1920)},  // lost
		{observed(6, 970, 1900), observed(6, 970, 1920)},
		{observed(1, 10, 10), observed(1, 10, 10)}, // anew
	} {
		if got := m.show(web, contract.History{Observed: tt.is}).Observed; got != tt.want {
			t.Errorf("%d: %+v is shown as %+v, want %+v", i, tt.is, got, tt.want)
		}
	}
}

// What is not observed, and never was, has no series of that. What was observed keeps what was counted then.
func TestSeriesOfTheObserved(t *testing.T) {
	m := server(t)
	was := contract.Target{Resource: "deployments", Group: "apps", Name: "was"}
	for of, mode := range map[contract.Target]contract.Mode{web: contract.ModeObserve, db: contract.ModeSleep, was: contract.ModeSleep} {
		k := target.New(target.Config{Namespace: namespace, Target: of, Pod: "a", Process: "a/1"})
		k.SetUse(target.Use{IdleTimeout: time.Minute, Mode: mode})
		state := sleep.State{Phase: sleep.Awake, Since: time.Now().Add(-time.Hour)}
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			ResourceVersion: "1", Annotations: map[string]string{contract.StateKey: state.String()},
		}}
		if of == was {
			lease.Annotations[contract.HistoryKey] = contract.History{Observed: contract.Observed{Sleeps: 7, Asleep: 60}}.String()
		}
		k.Observe(lease)
		m.targets[of] = k
	}
	want := `
# HELP tpa_observed_sleeps_total How often the target would have been put to sleep. Every proxy says the same, and goes on where the one before it ended: aggregate by max, not by sum.
# TYPE tpa_observed_sleeps_total counter
tpa_observed_sleeps_total{namespace="shop",target="deployment/was"} 7
tpa_observed_sleeps_total{namespace="shop",target="deployment/web"} 1
# HELP tpa_observed_target_asleep Whether the target would be asleep if TPA did more than observe, 1 or 0.
# TYPE tpa_observed_target_asleep gauge
tpa_observed_target_asleep{namespace="shop",target="deployment/web"} 1
# HELP tpa_target_asleep Whether the target is asleep, 1 or 0.
# TYPE tpa_target_asleep gauge
tpa_target_asleep{namespace="shop",target="deployment/was"} 0
tpa_target_asleep{namespace="shop",target="deployment/web"} 0
tpa_target_asleep{namespace="shop",target="statefulset/db"} 0
`
	if err := testutil.CollectAndCompare(m, strings.NewReader(want), "tpa_observed_sleeps_total", "tpa_observed_target_asleep", "tpa_target_asleep"); err != nil {
		t.Error(err)
	}
}

func TestSeriesOfAServiceGoWithItsLastConnection(t *testing.T) {
	m := server(t)
	m.keeping = t.Context()
	m.options.DrainTimeout = time.Minute
	serve := func(uids ...types.UID) {
		plan := Plan{Services: map[types.UID]ServicePlan{}}
		for _, uid := range uids {
			plan.Services[uid] = ServicePlan{Name: "web"}
		}
		m.serveLocked(plan)
		m.drains.Wait()
	}
	serve("x")
	m.metrics.held("web", time.Second, front.Relayed)
	m.metrics.held("db", time.Second, front.Relayed)
	serve("y") // another one of the same name
	if n := testutil.CollectAndCount(m, "tpa_hold_duration_seconds"); n != 2 {
		t.Errorf("%d series of holds, want those of both Services", n)
	}
	serve()
	if n := testutil.CollectAndCount(m, "tpa_hold_duration_seconds"); n != 1 {
		t.Errorf("%d series of holds, want those of the other Service", n)
	}
	if n := testutil.CollectAndCount(m, "tpa_connections_total"); n != 0 {
		t.Errorf("%d series of connections of a Service that is gone", n)
	}
}

// A Service that was deleted and made anew has two fronts while its earlier ports linger, and one set of series.
func TestServiceThatIsMadeAnewHasOneSetOfSeries(t *testing.T) {
	m := server(t)
	m.serveLocked(Plan{Services: map[types.UID]ServicePlan{"x": {Name: "web"}, "y": {Name: "web"}}})
	if n := testutil.CollectAndCount(m, "tpa_connections_active"); n != 1 {
		t.Errorf("%d series, want 1", n)
	}
}
