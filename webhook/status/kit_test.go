package status

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/webhook/view"
)

// hostile is what somebody may have written where a name is expected: kubectl lets it pass in a pod's message, say.
const hostile = `</td></table><script>document.title="broken into"</script><img src=x onerror=alert(1)>" onfocus="alert(2)`

// shop has a Service in use, one that sleeps, two with one target, one whose pod does not start, and one that is missing.
func shop(now time.Time) *view.Namespace {
	n := &view.Namespace{
		Name: "shop", Now: now, Pods: []*corev1.Pod{}, Leases: []*coordinationv1.Lease{}, Scales: map[contract.Target]view.Scale{},
		Proxy: &appsv1.Deployment{Status: appsv1.DeploymentStatus{Replicas: 1, ReadyReplicas: 1}}, ProxyKnown: true,
	}
	pod(n, "tpa-proxy-a", map[string]string{contract.SelectorKey: contract.SelectorValue}, corev1.PodCondition{Type: corev1.PodReady, Status: "True"})
	app(n, "web", 1, sleep.State{Phase: sleep.Awake, Since: now.Add(-time.Hour), Claims: map[string]sleep.Claim{"tpa-proxy-a": {}}},
		&contract.History{Sleeps: 4, Wakes: 4, Asleep: 7200, Saved: contract.Saved{Replicas: 7200}, Observed: contract.Observed{
			Sleeps: 1, Asleep: 5400, Saved: contract.Saved{Replicas: 5400}}, LastWake: &contract.Wake{
			At: now.Add(-time.Hour), Service: "web", From: "192.0.2.9", Outcome: contract.WakeReady, Took: 1.25,
		}})
	pod(n, "web-0", map[string]string{"app": "web"}, corev1.PodCondition{Type: corev1.PodReady, Status: "True"})
	app(n, "report", 0, sleep.State{Phase: sleep.Asleep, Since: now.Add(-3 * time.Hour), Replicas: 3, Owed: true, Used: now.Add(-4 * time.Hour)},
		&contract.History{Sleeps: 1, Pod: contract.Requests{CPU: 0.5, Memory: 1 << 30}})
	service(n, "report-admin", "report")
	app(n, "slow", 1, sleep.State{Phase: sleep.Awake, Since: now.Add(-time.Minute), Claims: map[string]sleep.Claim{"tpa-proxy-a": {}}}, nil)
	pod(n, "slow-0", map[string]string{"app": "slow"}, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: "False", Reason: "Unschedulable", Message: hostile,
	})
	service(n, "lost", "lost")
	n.Scales[deployment("lost")] = view.Scale{Missing: true}
	n.Leases = append(n.Leases, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: contract.PodLease("tpa-proxy-a"), Labels: map[string]string{contract.LeaseLabel: contract.LeaseProxy},
		Annotations: map[string]string{contract.UsageKey: contract.Usage{At: now, Services: map[string]contract.ServiceUsage{
			"web":  {Open: 2, Oldest: []contract.ConnectionUsage{{From: "192.0.2.9:41000", Port: 80, Since: now.Add(-12 * time.Minute)}}},
			"slow": {Held: 1},
		}}.String()},
	}})
	return n
}

func deployment(name string) contract.Target {
	return contract.Target{Resource: "deployments", Group: "apps", Name: name}
}

// app adds a Service and the target of that name.
func app(n *view.Namespace, name string, replicas int32, state sleep.State, h *contract.History) {
	service(n, name, name)
	n.Scales[deployment(name)] = view.Scale{Known: true, Replicas: replicas, Selector: labels.SelectorFromSet(labels.Set{"app": name})}
	n.Leases = append(n.Leases, targetLease(name, state, h))
}

func targetLease(name string, state sleep.State, h *contract.History) *coordinationv1.Lease {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: deployment(name).Lease(), Labels: map[string]string{contract.LeaseLabel: contract.LeaseTarget},
		Annotations: map[string]string{contract.StateKey: state.String(), contract.TargetKey: deployment(name).String()},
	}}
	if h != nil {
		lease.Annotations[contract.HistoryKey] = h.String()
	}
	return lease
}

func service(n *view.Namespace, name, target string) {
	n.Services = append(n.Services, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: n.Name, Name: name, UID: types.UID(name), Labels: map[string]string{contract.ManagedLabel: contract.ManagedTrue},
			Annotations: map[string]string{
				contract.TargetKey: target, contract.PhaseKey: string(contract.Active), contract.PortsKey: "80:20001",
				contract.OriginalKey: contract.Original{Selector: map[string]string{"app": target}}.String(),
			},
		},
		Spec: corev1.ServiceSpec{Selector: contract.ProxySelector(), Ports: []corev1.ServicePort{{Port: 80}}},
	})
}

func pod(n *view.Namespace, name string, set map[string]string, conditions ...corev1.PodCondition) {
	n.Pods = append(n.Pods, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: n.Name, Name: name, Labels: set},
		Status:     corev1.PodStatus{PodIP: "10.1.0.1", Conditions: conditions},
	})
}

var errRefused = errors.New("connection refused")

// reads is a Source of such namespaces.
func reads(namespaces ...*view.Namespace) *Source {
	return &Source{Read: func(context.Context) ([]*view.Namespace, error) { return namespaces, nil }}
}

// contains checks that a text has others in it, whatever the spaces.
func contains(t *testing.T, text string, want ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(text), " ")
	for _, w := range want {
		if !strings.Contains(flat, w) {
			t.Errorf("no %q in\n%s", w, flat)
		}
	}
}
