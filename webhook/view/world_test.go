package view

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// ago is so long before noon.
func ago(d time.Duration) time.Time { return noon.Add(-d) }

// world builds a namespace; each method changes it and returns it.
type world struct{ *Namespace }

// shop is opted in, has two proxies that are ready, and no Service.
func shop() world {
	w := world{&Namespace{
		Name: "shop", Now: noon, Pods: []*corev1.Pod{}, Leases: []*coordinationv1.Lease{}, Scales: map[contract.Target]Scale{},
		Meta: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: "shop", Labels: map[string]string{contract.InjectLabel: contract.InjectEnabled},
		}},
		Proxy: &appsv1.Deployment{Status: appsv1.DeploymentStatus{Replicas: 2, ReadyReplicas: 2}}, ProxyKnown: true,
		Events: []eventsv1.Event{},
	}}
	for _, name := range []string{"tpa-proxy-a", "tpa-proxy-b"} {
		pod := proxyobjects.Labels()
		pod[contract.SelectorKey] = contract.SelectorValue
		w.pod(name, pod, true)
	}
	return w
}

func (w world) pod(name string, set map[string]string, ready bool, edits ...func(*corev1.Pod)) world {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Name, Name: name, Labels: set},
		Status:     corev1.PodStatus{PodIP: "10.1.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}},
	}
	for _, edit := range edits {
		edit(pod)
	}
	w.Pods = append(w.Pods, pod)
	return w
}

// app adds a target, a deployment of that name whose pods have app=<name>, and its ready pods.
func (w world) app(name string, replicas int32, ready int) world {
	w.Scales[deployment(name)] = Scale{Known: true, Replicas: replicas, Selector: labels.SelectorFromSet(labels.Set{"app": name})}
	for i := range ready {
		w.pod(fmt.Sprintf("%s-%d", name, i), map[string]string{"app": name}, true)
	}
	return w
}

func deployment(name string) contract.Target {
	return contract.Target{Resource: "deployments", Group: "apps", Name: name}
}

// service adds a Service with app=<name> and port 80, in a phase.
func (w world) service(name string, phase contract.Phase, annotations ...string) world {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Name, Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{}, Annotations: map[string]string{},
		},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	if phase != "" {
		svc.Labels[contract.ManagedLabel] = contract.ManagedTrue
		svc.Annotations[contract.PhaseKey] = string(phase)
		svc.Annotations[contract.PortsKey] = fmt.Sprintf("80:%d", 20001+len(w.Services))
		svc.Annotations[contract.OriginalKey] = contract.Original{
			Selector: svc.Spec.Selector, TargetPorts: map[int32]intstr.IntOrString{80: intstr.FromInt32(8080)},
		}.String()
	}
	if phase.Rewritten() {
		svc.Spec.Selector = contract.ProxySelector()
	}
	for i := 0; i < len(annotations); i += 2 {
		svc.Annotations[annotations[i]] = annotations[i+1]
	}
	w.Services = append(w.Services, svc)
	return w
}

// state adds a target's Lease.
func (w world) state(name string, s sleep.State, h *contract.History) world {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: deployment(name).Lease(), Labels: map[string]string{contract.LeaseLabel: contract.LeaseTarget},
		Annotations: map[string]string{contract.StateKey: s.String(), contract.TargetKey: deployment(name).String()},
	}}
	if h != nil {
		lease.Annotations[contract.HistoryKey] = h.String()
	}
	w.Leases = append(w.Leases, lease)
	return w
}

// usage adds a proxy's Lease.
func (w world) usage(pod string, services map[string]contract.ServiceUsage) world {
	w.Leases = append(w.Leases, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: contract.PodLease(pod), Labels: map[string]string{contract.LeaseLabel: contract.LeaseProxy},
		Annotations: map[string]string{contract.UsageKey: contract.Usage{At: ago(5 * time.Second), Services: services}.String()},
	}})
	return w
}

func (w world) event(kind, name, reason, note string, at time.Time) world {
	w.Events = append(w.Events, eventsv1.Event{
		Regarding: corev1.ObjectReference{Kind: kind, Name: name}, Reason: reason, Note: note, EventTime: metav1.NewMicroTime(at),
	})
	return w
}

func claims(active ...string) map[string]sleep.Claim {
	m := map[string]sleep.Claim{}
	for _, holder := range active {
		m[holder] = sleep.Claim{}
	}
	return m
}

// everything has a Service in each state.
func everything() world {
	w := shop()
	// in use
	w.app("web", 2, 2).service("web", contract.Active, contract.TargetKey, "web", contract.IdleTimeoutKey, "5m")
	w.state("web", sleep.State{Phase: sleep.Awake, Since: ago(time.Hour), Claims: claims("tpa-proxy-a", "tpa-proxy-b"), Replicas: 2},
		&contract.History{Sleeps: 4, Wakes: 4, Asleep: 7200, LastWake: &contract.Wake{
			At: ago(time.Hour), Service: "web", From: "10.0.0.9", Outcome: contract.WakeReady, Took: 1.234,
		}})
	// idle
	w.app("api", 1, 1).service("api", contract.Active, contract.TargetKey, "api")
	w.state("api", sleep.State{Phase: sleep.Awake, Since: ago(time.Hour), Claims: map[string]sleep.Claim{"tpa-proxy-a": {IdleSince: ago(4 * time.Minute)}}}, nil)
	// asleep
	w.app("db", 0, 0).service("db", contract.Active, contract.TargetKey, "db", contract.WakeOnKey, "data", contract.PassivePortsKey, "9090")
	w.state("db", sleep.State{Phase: sleep.Asleep, Since: ago(3 * time.Hour), Replicas: 3, Owed: true, Used: ago(190 * time.Minute)},
		&contract.History{Sleeps: 1, Asleep: 60})
	// waking
	w.app("slow", 1, 0).service("slow", contract.Active, contract.TargetKey, "slow")
	w.pod("slow-0", map[string]string{"app": "slow"}, false, func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"},
		}}}
	})
	w.state("slow", sleep.State{Phase: sleep.Awake, Since: ago(time.Minute), Claims: claims("tpa-proxy-a")},
		&contract.History{Sleeps: 1, Wakes: 2, LastWake: &contract.Wake{At: ago(time.Minute), Service: "slow", From: "10.0.0.7"}})
	// no quota
	w.app("poor", 1, 0).service("poor", contract.Active, contract.TargetKey, "poor")
	w.state("poor", sleep.State{Phase: sleep.Awake, Since: ago(time.Minute), Claims: claims("tpa-proxy-a")}, nil)
	w.event("ReplicaSet", "poor-5d4f", "FailedCreate", "exceeded quota: small", ago(time.Minute))
	// missing
	w.service("lost", contract.Active, contract.TargetKey, "lost")
	w.Scales[deployment("lost")] = Scale{Missing: true}
	// not taken over yet
	w.app("new", 1, 1).service("new", contract.Pending, contract.TargetKey, "new")
	// kept awake by a Service that is not managed
	w.app("seen", 1, 1).service("seen", contract.Active, contract.TargetKey, "seen").service("debug", "")
	w.Services[len(w.Services)-1].Spec.Selector = map[string]string{"app": "seen"}
	w.state("seen", sleep.State{Phase: sleep.Awake, Since: ago(2 * time.Hour)}, nil)
	w.event("Service", "seen", "SleepBlocked", "deployment/seen does not sleep: ...", ago(10*time.Minute))
	// contested
	w.app("fought", 1, 1).service("fought", contract.Active, contract.TargetKey, "fought")
	w.state("fought", sleep.State{Phase: sleep.Awake, Since: ago(2 * time.Hour), Reverted: sleep.MaxReverted}, nil)
	// settling
	w.app("fresh", 1, 1).service("fresh", contract.Active, contract.TargetKey, "fresh", contract.IdleTimeoutKey, "1m")
	w.state("fresh", sleep.State{Phase: sleep.Awake, Since: ago(3 * time.Minute), NotBefore: noon.Add(7 * time.Minute)}, nil)
	// a claim without a connection, and one of a pod that is gone
	w.app("still", 1, 1).service("still", contract.Active, contract.TargetKey, "still")
	w.state("still", sleep.State{Phase: sleep.Awake, Since: ago(time.Hour), Claims: claims("tpa-proxy-b", "tpa-proxy-x")}, nil)
	// opted out
	w.app("back", 1, 0).service("back", contract.Restoring)
	// falling asleep
	w.app("tired", 1, 1).service("tired", contract.Active, contract.TargetKey, "tired")
	w.state("tired", sleep.State{Phase: sleep.Sleeping, Since: ago(time.Second), By: "tpa-proxy-a/1"}, nil)
	// only observed
	w.app("trial", 2, 2).service("trial", contract.Active, contract.TargetKey, "trial", contract.ModeKey, "observe")
	w.state("trial", sleep.State{Phase: sleep.Awake, Since: ago(4 * time.Hour), Used: ago(190 * time.Minute)},
		&contract.History{Observed: contract.Observed{Sleeps: 2, Asleep: 7200, Saved: contract.Saved{Replicas: 14400}}})
	// paused, and claimed therefore
	w.app("kept", 1, 1).service("kept", contract.Active, contract.TargetKey, "kept", contract.ModeKey, "paused")
	w.state("kept", sleep.State{Phase: sleep.Awake, Since: ago(time.Hour), Claims: claims("tpa-proxy-a", "tpa-proxy-b")}, nil)
	// asked to sleep, and used since
	w.app("late", 1, 1).service("late", contract.Active, contract.TargetKey, "late", contract.SleepRequestedKey, ago(time.Hour).Format(time.RFC3339))
	w.state("late", sleep.State{Phase: sleep.Awake, Since: ago(2 * time.Hour), Used: ago(5 * time.Minute)}, nil)
	// asked to sleep
	w.app("soon", 1, 1).service("soon", contract.Active, contract.TargetKey, "soon", contract.SleepRequestedKey, ago(time.Second).Format(time.RFC3339))
	w.state("soon", sleep.State{Phase: sleep.Awake, Since: ago(2 * time.Hour), Used: ago(5 * time.Minute)}, nil)
	// two targets, of which one sleeps
	w.service("both", contract.Active, contract.TargetKey, "api,db")

	since := ago(12 * time.Minute)
	w.usage("tpa-proxy-a", map[string]contract.ServiceUsage{
		"web":  {Open: 2, Held: 2, Oldest: []contract.ConnectionUsage{{From: "10.0.0.9:41000", Port: 80, Since: since}}},
		"slow": {Held: 1, Oldest: []contract.ConnectionUsage{{From: "10.0.0.7:1", Port: 80, Since: ago(time.Minute)}}},
		"poor": {Held: 1},
	})
	w.usage("tpa-proxy-b", map[string]contract.ServiceUsage{"web": {Open: 3, Parked: 2}})
	return w
}

func unschedulable(pod *corev1.Pod) {
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable",
		Message: "0/3 nodes are available: 3 Insufficient memory.",
	})
}
