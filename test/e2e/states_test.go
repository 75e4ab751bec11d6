//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// follow follows one object of the namespace, or all that carry labels.
func follow[T client.Object](f *fixture, list client.ObjectList, opts ...client.ListOption) *kit.Trail[T] {
	f.Helper()
	trail, err := kit.Follow[T](f.ctx, cluster, list, append(opts, client.InNamespace(f.ns))...)
	f.must(err)
	return trail
}

func (f *fixture) followDeployment(name string) *kit.Trail[*appsv1.Deployment] {
	f.Helper()
	return follow[*appsv1.Deployment](f, &appsv1.DeploymentList{}, client.MatchingFields{"metadata.name": name})
}

func (f *fixture) followService(name string) *kit.Trail[*corev1.Service] {
	f.Helper()
	return follow[*corev1.Service](f, &corev1.ServiceList{}, client.MatchingFields{"metadata.name": name})
}

func (f *fixture) followPods(labels map[string]string) *kit.Trail[*corev1.Pod] {
	f.Helper()
	return follow[*corev1.Pod](f, &corev1.PodList{}, client.MatchingLabels(labels))
}

func atZero(c kit.Change[*appsv1.Deployment]) bool { return kit.Replicas(c.Object) == 0 }
func atWork(c kit.Change[*appsv1.Deployment]) bool { return kit.Replicas(c.Object) > 0 }

func inPhase(phase contract.Phase) func(kit.Change[*corev1.Service]) bool {
	return func(c kit.Change[*corev1.Service]) bool {
		return c.Object.Annotations[contract.PhaseKey] == string(phase)
	}
}

// woken waits until a Deployment was scaled up, and returns where the changes after that begin.
func (f *fixture) woken(trail *kit.Trail[*appsv1.Deployment], from int) int {
	f.Helper()
	_, err := trail.Await(f.ctx, patience, "replicas above 0", from, atWork)
	f.must(err)
	return trail.Len()
}

// phases are the phases that a Service went through.
func phases(changes []kit.Change[*corev1.Service]) []string {
	var phases []string
	for _, c := range changes {
		phases = append(phases, c.Object.Annotations[contract.PhaseKey])
	}
	return slices.Compact(phases)
}

// scalings are the replicas that a Deployment was given one after the other.
func scalings(changes []kit.Change[*appsv1.Deployment]) []int32 {
	var replicas []int32
	for _, c := range changes {
		replicas = append(replicas, kit.Replicas(c.Object))
	}
	return slices.Compact(replicas)
}

// noPod looks whether an app has no pod left.
func (f *fixture) noPod(app string) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		pods, err := f.pods(ctx, client.MatchingLabels{"app": app})
		if err != nil {
			return false, err.Error()
		}
		seen := ""
		for i := range pods {
			seen += kit.Describe(&pods[i]) + "; "
		}
		return len(pods) == 0, seen
	}
}

// asleep waits until a Deployment sleeps: TPA says so, it has 0 replicas and no pod is left.
func (f *fixture) asleep(name string) {
	f.Helper()
	f.wait(name+" to be asleep", func(ctx context.Context) (bool, string) {
		state, err := cluster.SleepState(ctx, f.ns, name)
		if err != nil {
			return false, err.Error()
		}
		return state.Phase == sleep.Asleep, state.String()
	})
	if d := f.deployment(name); kit.Replicas(d) != 0 {
		f.Fatalf("%s is said to be asleep, but has %d replicas", name, kit.Replicas(d))
	}
	f.wait("the last pod of "+name+" to be gone", f.noPod(name))
}

// sleepsInTime waits until a Deployment is scaled to 0, and checks that this is neither sooner than the idle time-out
// after the end of its use, nor later than the promise.
func (f *fixture) sleepsInTime(trail *kit.Trail[*appsv1.Deployment], from int, idle time.Duration, end time.Time) {
	f.Helper()
	change, err := trail.Await(f.ctx, patience, "replicas at 0", from, atZero)
	f.must(err)
	after := change.At.Sub(end)
	if after < idle || after > idle+late {
		f.Errorf("scaled to 0 %s after the last use; idle-timeout is %s, and %s more may pass", after, idle, late)
	}
	f.Logf("idle-timeout %s: scaled to 0 %.2fs after the last use", idle, after.Seconds())
}

// proxies returns the proxies' pods that are ready.
func (f *fixture) proxies() []corev1.Pod {
	f.Helper()
	pods, err := f.pods(f.ctx, kit.ProxyLabels)
	f.must(err)
	return slices.DeleteFunc(pods, func(p corev1.Pod) bool { return !kit.Ready(&p) })
}

// proxied waits until a new connection leads through a proxy, which takes kube-proxy a moment after Active.
func (f *fixture) proxied(address string) {
	f.Helper()
	f.wait("calls to lead through a proxy", func(context.Context) (bool, string) {
		reply := f.askOnce(address)
		through := slices.ContainsFunc(f.proxies(), func(p corev1.Pod) bool { return p.Status.PodIP == reply.Peer() })
		return through, fmt.Sprintf("%s was called from %s", reply.Pod, reply.Peer())
	})
}

// noProxy looks whether TPA has taken its own objects out of the namespace.
func (f *fixture) noProxy(ctx context.Context) (bool, string) {
	var d appsv1.Deployment
	err := cluster.Get(ctx, f.key(contract.ProxyName), &d)
	return apierrors.IsNotFound(err), fmt.Sprintf("%s, %v", kit.Describe(&d), err)
}

// noTrace looks whether nothing of TPA's is left in the namespace.
func (f *fixture) noTrace(ctx context.Context) (bool, string) {
	for _, object := range proxyobjects.Present(f.ns) {
		if err := cluster.Get(ctx, client.ObjectKeyFromObject(object), object); !apierrors.IsNotFound(err) {
			return false, fmt.Sprintf("%s %s, %v", object.Kind, object.Name, err)
		}
	}
	var leases coordinationv1.LeaseList
	if err := cluster.List(ctx, &leases, client.InNamespace(f.ns), client.HasLabels{contract.LeaseLabel}); err != nil {
		return false, err.Error()
	}
	seen := ""
	for i := range leases.Items {
		seen += kit.Describe(&leases.Items[i]) + "; "
	}
	return seen == "", seen
}

// before reports whether one object was written before another; the API server counts all writes.
func (f *fixture) before(a, b client.Object) bool {
	f.Helper()
	order, err := resourceversion.CompareResourceVersion(a.GetResourceVersion(), b.GetResourceVersion())
	f.must(err)
	return order < 0
}

// counts adds up how many requests each pod has got, by asking each pod itself, and takes off that question.
func (f *fixture) counts(app string) (total int64) {
	f.Helper()
	pods, err := f.pods(f.ctx, client.MatchingLabels{"app": app})
	f.must(err)
	for _, pod := range pods {
		total += f.askOnce(pod.Status.PodIP+":8080").Request - 1
	}
	return total
}
