//go:build integration

package command

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
)

func streams(out, errs *buffer) genericiooptions.IOStreams {
	return genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: errs}
}

// TestWake: a target that sleeps gets what it had, and one that is up stays as it is.
func TestWake(t *testing.T) {
	s := openShop(t)
	for _, name := range []string{"web", "up", "first"} {
		replicas := int32(0)
		if name == "up" {
			replicas = 5
		}
		s.app(name, replicas)
	}
	s.state("web", sleep.State{Phase: sleep.Asleep, Since: time.Now(), Replicas: 3, Owed: true}, nil)
	s.state("up", sleep.State{Phase: sleep.Awake, Since: time.Now(), Replicas: 2}, nil)
	want := "service/web woken\nservice/up awake already\nservice/first woken\n"
	if got := s.does("wake", "web", "up", "first"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for name, replicas := range map[string]int32{"web": 3, "up": 5, "first": 1} {
		if got := s.replicas(name); got != replicas {
			t.Errorf("%s has %d replicas, want %d", name, got, replicas)
		}
	}
	s.fails("", "error: timed out waiting until it is awake: service/web is Waking (there is no Deployment tpa-proxy",
		"wake", "web", "--wait", "--timeout=1s")
	s.pod("web-0", map[string]string{"app": "web"})
	s.state("web", sleep.State{Phase: sleep.Awake, Since: time.Now(), Replicas: 3}, nil)
	s.does("wake", "web", "--wait", "--timeout=20s")
	s.must(server.Admin.Delete(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "web"}}))
	s.fails("", "error: wake deployment/web in namespace "+s.ns+": it does not exist", "wake", "web")
}

// TestWakeWhileItFallsAsleep: nothing is scaled while a proxy may write 0.
func TestWakeWhileItFallsAsleep(t *testing.T) {
	s := openShop(t)
	s.app("web", 0)
	s.state("web", sleep.State{Phase: sleep.Sleeping, Since: time.Now(), By: "tpa-proxy-a/1", Replicas: 4, Owed: true}, nil)
	s.fails("", "wake deployment/web in namespace "+s.ns, "wake", "web", "--timeout=1s")
	if got := s.replicas("web"); got != 0 {
		t.Fatalf("scaled to %d while it falls asleep", got)
	}
	done := make(chan result, 1)
	go func() { done <- s.run(t.Context(), "", &buffer{}, "wake", "web") }()
	s.state("web", sleep.State{Phase: sleep.Asleep, Since: time.Now(), Replicas: 4, Owed: true}, nil)
	if got := <-done; got.code != 0 || s.replicas("web") != 4 {
		t.Errorf("%+v, %d replicas, want 4", got, s.replicas("web"))
	}
}

// TestWakeOfWhatIsNotManaged: a Service that TPA has not taken over is left alone.
func TestWakeOfWhatIsNotManaged(t *testing.T) {
	s := openShop(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "out-"}}
	s.must(server.Admin.Create(t.Context(), ns))
	s.ns = ns.Name
	s.must(server.Admin.Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "web", Annotations: map[string]string{contract.TargetKey: "web"}},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}))
	s.fails("", `error: service "web" is not managed by TPA: kubectl tpa explain web -n `+s.ns, "wake", "web")
	s.contains(s.does("status", "-o", "wide"), "web deployment/web Unmanaged", "namespace "+s.ns+" is not opted in")
	s.contains(s.does("explain", "web"), "try: kubectl label namespace "+s.ns+" tpa.dev/inject=enabled")
}
