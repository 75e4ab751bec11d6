//go:build e2e

package fault

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// effects are what each fault must be seen to do.
var effects = map[string]func(*world) func(context.Context) (bool, string){
	"proxy-deleted":         oneGone,
	"proxy-killed":          killedRestarted,
	"proxies-rolled":        allReplaced,
	"clocks-stepped":        func(w *world) func(context.Context) (bool, string) { return w.env.proxiesRun(skewedImage) },
	"proxies-unschedulable": steppedAside,
	"proxies-no-image":      steppedAside,
	"webhook-killed":        killedRestarted,
	"leader-killed":         killedRestarted,
	"apiserver-stopped":     noAnswer,
	"etcd-paused":           noAnswer,
	"kubelet-stopped":       kubeletSilent,
	"node-cut":              nodeSilent,
	"target-crash-loops":    victimWaits("CrashLoopBackOff"),
	"target-no-image":       victimWaits("ErrImagePull", "ImagePullBackOff"),
	"target-slow":           slowed,
	"quota-full":            refusedPods,
	"scaled-by-hand":        victimScaledTo(2),
	"hpa":                   victimScaledTo(2),
	"gitops":                managedBy("gitops"),
}

// killedRestarted looks whether the process that the fault killed is another one now.
func killedRestarted(w *world) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		w.mu.Lock()
		victim := w.victims[len(w.victims)-1]
		w.mu.Unlock()
		pods, err := w.tpaPods(ctx)
		for _, pod := range pods {
			if pod.Name == victim.Pod && kit.Restarts(&pod) > kit.Restarts(ref(w.before[pod.Name])) {
				return true, ""
			}
		}
		return false, fmt.Sprint(victim, err)
	}
}

func ref[T any](v T) *T { return &v }

// left is how many of the proxies that there were are still ready, and how many others.
func (w *world) left(ctx context.Context) (old, others int, err error) {
	pods, err := w.env.pods(ctx, w.env.Namespace, kit.ProxyLabels)
	for _, pod := range pods {
		if was, ok := w.before[pod.Name]; ok && was.UID == pod.UID {
			old++
		} else {
			others++
		}
	}
	return old, others, err
}

func oneGone(w *world) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		old, others, err := w.left(ctx)
		return err == nil && old == contract.DefaultProxyReplicas-1 && others == 1, fmt.Sprint(old, others, err)
	}
}

func allReplaced(w *world) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		old, others, err := w.left(ctx)
		return err == nil && old == 0 && others == contract.DefaultProxyReplicas, fmt.Sprint(old, others, err)
	}
}

// steppedAside looks whether all Services have their own selectors, and answer.
func steppedAside(w *world) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		var services corev1.ServiceList
		if err := w.env.Cluster.List(ctx, &services, client.InNamespace(w.env.Namespace)); err != nil {
			return false, err.Error()
		}
		for _, s := range services.Items {
			if contract.IsProxySelector(s.Spec.Selector) {
				return false, kit.Describe(&s)
			}
			load := kit.Load{From: w.env.Cluster.Nodes[0], Address: net.JoinHostPort(s.Spec.ClusterIP, "80"), Timeout: 10 * time.Second}
			if err := w.ask(ctx, load); err != nil {
				return false, err.Error()
			}
		}
		return len(services.Items) > 0, ""
	}
}

// noAnswer looks whether the API server cannot tell what is stored.
func noAnswer(w *world) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		err := w.env.Cluster.Get(ctx, client.ObjectKey{Name: w.env.Namespace}, &corev1.Namespace{})
		return err != nil, "it can"
	}
}

// kubeletSilent looks whether a node has not given notice of itself for longer than it does every 10 s.
func kubeletSilent(w *world) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		var leases coordinationv1.LeaseList
		if err := w.env.Cluster.List(ctx, &leases, client.InNamespace("kube-node-lease")); err != nil {
			return false, err.Error()
		}
		return slices.ContainsFunc(leases.Items, func(l coordinationv1.Lease) bool {
			return time.Since(l.Spec.RenewTime.Time) > 15*time.Second
		}), fmt.Sprint(len(leases.Items), " nodes renew their Leases")
	}
}

// nodeSilent looks whether a node cannot be reached any more.
func nodeSilent(w *world) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		for _, node := range w.env.Cluster.Nodes[1:] {
			short, cancel := context.WithTimeout(ctx, time.Second)
			conn, err := w.env.Cluster.Nodes[0].Dial(short, net.JoinHostPort(node.IP, "10250"))
			cancel()
			if err != nil {
				return true, ""
			}
			conn.Close()
		}
		return false, "each answers"
	}
}

func victimWaits(reasons ...string) func(*world) func(context.Context) (bool, string) {
	return func(w *world) func(context.Context) (bool, string) {
		return func(ctx context.Context) (bool, string) {
			var pods corev1.PodList
			labels := client.MatchingLabels(kit.App{Name: "victim"}.Labels())
			if err := w.env.Cluster.List(ctx, &pods, client.InNamespace(w.env.Namespace), labels); err != nil {
				return false, err.Error()
			}
			seen := ""
			for _, pod := range pods.Items {
				seen += kit.Describe(&pod) + "; "
				for _, s := range pod.Status.ContainerStatuses {
					if s.State.Waiting != nil && slices.Contains(reasons, s.State.Waiting.Reason) {
						return true, ""
					}
				}
			}
			return false, seen
		}
	}
}

func (w *world) victim(is func(*appsv1.Deployment) bool) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		d, err := w.env.target(ctx, "victim")
		return err == nil && is(d), fmt.Sprint(kit.Describe(d), err)
	}
}

func slowed(w *world) func(context.Context) (bool, string) {
	return w.victim(func(d *appsv1.Deployment) bool {
		return d.Spec.Template.Spec.Containers[0].ReadinessProbe.InitialDelaySeconds >= 8 &&
			d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == kit.Replicas(d)
	})
}

func refusedPods(w *world) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		d, err := w.env.target(ctx, "sleepy") // the others may have a pod all the time
		return err == nil && slices.ContainsFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
			return c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue
		}), fmt.Sprint(kit.Describe(d), err)
	}
}

func victimScaledTo(n int32) func(*world) func(context.Context) (bool, string) {
	return func(w *world) func(context.Context) (bool, string) {
		return w.victim(func(d *appsv1.Deployment) bool { return kit.Replicas(d) == n })
	}
}

func managedBy(manager string) func(*world) func(context.Context) (bool, string) {
	return func(w *world) func(context.Context) (bool, string) {
		return w.victim(func(d *appsv1.Deployment) bool {
			for _, f := range d.ManagedFields {
				if f.Manager == manager {
					return true
				}
			}
			return false
		})
	}
}
