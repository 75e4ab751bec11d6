//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/test/kit"
)

// TestReplicas is about how many there are after a wake, and about others who scale.
func TestReplicas(t *testing.T) {
	t.Run("wake-replicas", testWakeReplicas)
	t.Run("several", testSeveralTargets)
	t.Run("StatefulSet", testStatefulSet)
	t.Run("zero by hand", testZeroByHand)
	t.Run("up by hand", testUpByHand)
	t.Run("HPA", testHPA)
}

// testWakeReplicas wakes to what is configured, and to what it had once that is not configured any more.
func testWakeReplicas(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	app := f.app("web", 1)
	s := f.startWith(app.Deployment(), app.Service(with(managed("web", idle), contract.WakeReplicasKey, "3")))
	trail := f.followDeployment("web")
	f.asleep("web")
	f.wakesTo(address(s, 80), 3)
	f.annotate("web", contract.WakeReplicasKey, "")
	f.scale("web", 2)
	f.asleep("web")
	f.wakesTo(address(s, 80), 2)
	if got := scalings(trail.Since(0)); !slices.Equal(got, []int32{1, 0, 3, 2, 0, 2}) {
		t.Errorf("replicas went %v", got)
	}
}

// wakesTo asks web, and keeps the connection until so many replicas are ready.
func (f *fixture) wakesTo(address string, replicas int32) {
	f.Helper()
	conn := f.open(address)
	defer conn.Close()
	f.ask(conn)
	f.ready("web", replicas)
}

// isAsleep waits until a target of any kind sleeps.
func (f *fixture) isAsleep(target string) {
	f.Helper()
	f.wait(target+" to be asleep", func(ctx context.Context) (bool, string) {
		state, err := cluster.SleepState(ctx, f.ns, target)
		return err == nil && state.Phase == sleep.Asleep, fmt.Sprint(state, err)
	})
}

// readySet waits until a StatefulSet has so many ready replicas and asks for no more.
func (f *fixture) readySet(name string, replicas int32) {
	f.Helper()
	f.wait(fmt.Sprintf("statefulset %s to have %d ready replicas", name, replicas), func(ctx context.Context) (bool, string) {
		var s appsv1.StatefulSet
		err := cluster.Get(ctx, f.key(name), &s)
		return err == nil && s.Spec.Replicas != nil && *s.Spec.Replicas == replicas && s.Status.ReadyReplicas == replicas &&
			s.Status.Replicas == replicas, fmt.Sprintf("%+v, %v", s.Status, err)
	})
}

// testSeveralTargets has an app and its database, which is slower to start, sleep and wake together; the database is scaled
// by hand meanwhile.
func testSeveralTargets(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	web, db := f.app("web", 1), f.app("db", 1)
	db.Args = []string{"--start-delay=3s"}
	f.create(db.StatefulSet())
	s := f.startWith(web.Deployment(), web.Service(managed("web,statefulset/db", idle)))
	trail := f.followDeployment("web")
	f.asleep("web")
	f.isAsleep("statefulset/db")
	f.wait("the last pod of db to be gone", f.noPod("db"))
	from := trail.Len()
	conn := f.open(address(s, 80))
	if reply := f.ask(conn); !strings.HasPrefix(reply.Pod, "web-") {
		t.Errorf("answered by %s", reply.Pod)
	}
	f.readySet("db", 1)
	conn.Close()
	f.asleep("web")
	f.isAsleep("statefulset/db")

	before := f.deployment("web").Generation
	_, err := f.kubectl("", "scale", "statefulset/db", "--replicas=2")
	f.must(err)
	f.wait("db to be awake", func(ctx context.Context) (bool, string) {
		state, err := cluster.SleepState(ctx, f.ns, "statefulset/db")
		return err == nil && state.Phase == sleep.Awake, fmt.Sprint(state, err)
	})
	f.isAsleep("statefulset/db")
	f.readySet("db", 0)
	if after := f.deployment("web").Generation; after != before {
		t.Errorf("web was scaled while db was, from generation %d to %d", before, after)
	}
	conn = f.open(address(s, 80))
	f.ask(conn)
	f.readySet("db", 2)
	f.ready("web", 1)
	conn.Close()
	if got := scalings(trail.Since(from)); !slices.Equal(got, []int32{1, 0, 1}) {
		t.Errorf("replicas of web went %v", got)
	}
}

// testStatefulSet wakes two PostgreSQL servers, the second only after the first is ready; the client does not wait for it.
func testStatefulSet(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	app := kit.Postgres(f.ns)
	app.Replicas = 2
	s := f.startWith(app.StatefulSet(), app.Service(managed("statefulset/postgres", idle)))
	f.isAsleep("statefulset/postgres")
	f.wait("the last pod to be gone", f.noPod("postgres"))
	trail := f.followPods(app.Labels())
	if out, err := f.psql(s); err != nil || out != greeting {
		t.Errorf("psql: %q, %v; want %q", out, err, greeting)
	}
	stays := f.open(address(s, 80)) // until both are there
	f.readySet("postgres", 2)
	stays.Close()
	var first, second *corev1.Pod
	for _, c := range trail.Since(0) {
		switch {
		case c.Object.Name == "postgres-0" && kit.Ready(c.Object) && first == nil:
			first = c.Object
		case c.Object.Name == "postgres-1" && second == nil:
			second = c.Object
		}
	}
	if first == nil || second == nil || !f.before(first, second) {
		t.Error("postgres-1 was not created after postgres-0 was ready")
	}
}

// testZeroByHand: what a person scales to 0 stays there, also under a connection that is open, until another comes; and
// opting out leaves it there.
func testZeroByHand(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	app := f.app("web", 2)
	app.Args = []string{"--stop-delay=6s"} // for so long after the 0 a connection lives, and no pod is ready
	service := app.Service(managed("web", idle))
	s := f.startWith(app.Deployment(), service)
	snap := kit.Snap(service)
	f.asleep("web")
	conn := f.open(address(s, 80))
	f.ask(conn)
	f.ready("web", 2)

	trail := f.followDeployment("web")
	f.scale("web", 0)
	_, err := trail.Await(f.ctx, patience, "the 0", 0, atZero)
	f.must(err)
	from := trail.Len()
	f.ask(conn)
	f.must(trail.Never(f.ctx, 5*time.Second, "scaled up under a connection that is open", from, atWork))
	conn.Close()
	f.asleep("web")
	f.must(trail.Never(f.ctx, idle, "scaled up without a connection", from, atWork))
	f.wakesTo(address(s, 80), 2)

	from = trail.Len()
	f.scale("web", 0)
	f.asleep("web")
	f.annotate("web", contract.TargetKey, "")
	f.restored("web", snap)
	f.wait("the namespace's proxy to be gone", f.noProxy)
	if got := scalings(trail.Since(from)); !slices.Equal(got, []int32{0}) {
		t.Errorf("replicas went %v after a person had scaled to 0 and opted out", got)
	}
}

// testUpByHand: who scales up a target that sleeps has it, for its idle time-out, and so many after the next wake.
func testUpByHand(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	s := f.start(f.app("web", 1), idle)
	f.asleep("web")
	trail := f.followDeployment("web")
	f.scale("web", 3)
	_, err := trail.Await(f.ctx, patience, "a replica to be ready", 0, func(c kit.Change[*appsv1.Deployment]) bool {
		return c.Object.Status.ReadyReplicas > 0
	})
	f.must(err)
	up := time.Now()
	f.wakesTo(address(s, 80), 3)
	f.asleep("web")
	if stayed := time.Since(up); stayed < idle {
		t.Errorf("back asleep after %s", stayed)
	}
	f.wakesTo(address(s, 80), 3)
	if got := scalings(trail.Since(0)); !slices.Equal(got, []int32{0, 3, 0, 3}) {
		t.Errorf("replicas went %v", got)
	}
}

// hpaSync is how often the controller of HorizontalPodAutoscalers looks: its default.
const hpaSync = 15 * time.Second

// testHPA: an autoscaler stands aside at 0, and takes over after the wake.
func testHPA(t *testing.T) {
	for _, least := range []int32{1, 2} {
		t.Run(fmt.Sprint("at least ", least), func(t *testing.T) {
			t.Parallel()
			f := setUp(t)
			app := f.app("web", least)
			utilization := int32(50)
			hpa := &autoscalingv2.HorizontalPodAutoscaler{
				ObjectMeta: metav1.ObjectMeta{Namespace: f.ns, Name: "web"},
				Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
					ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
					MinReplicas:    &least, MaxReplicas: 4,
					Metrics: []autoscalingv2.MetricSpec{{
						Type: autoscalingv2.ResourceMetricSourceType,
						Resource: &autoscalingv2.ResourceMetricSource{
							Name:   corev1.ResourceCPU,
							Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &utilization},
						},
					}},
				},
			}
			f.create(hpa)
			s := f.startWith(app.Deployment(), app.Service(with(managed("web", idle), contract.WakeReplicasKey, "1")))
			f.asleep("web")
			trail := f.followDeployment("web")
			f.wait("the autoscaler to see the 0", func(ctx context.Context) (bool, string) {
				if err := cluster.Get(ctx, client.ObjectKeyFromObject(hpa), hpa); err != nil {
					return false, err.Error()
				}
				for _, c := range hpa.Status.Conditions {
					if c.Type == autoscalingv2.ScalingActive && c.Reason == "ScalingDisabled" {
						return true, ""
					}
				}
				return false, fmt.Sprintf("%+v", hpa.Status.Conditions)
			})
			conn := f.open(address(s, 80))
			f.ask(conn)
			want := []int32{0, 1, least}
			if least == 1 {
				f.must(trail.Never(f.ctx, hpaSync, "another number of replicas", f.woken(trail, 0), func(c kit.Change[*appsv1.Deployment]) bool {
					return kit.Replicas(c.Object) != 1
				}))
				want = []int32{0, 1}
			} else {
				f.ready("web", least)
			}
			conn.Close()
			f.asleep("web")
			if got := scalings(trail.Since(0)); !slices.Equal(got, append(want, 0)) {
				t.Errorf("replicas went %v, want %v and 0", got, want)
			}
		})
	}
}
