package controller

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
)

// lose takes the proxies' readiness away, or gives it back.
func (k *kit) lose(lost bool) {
	k.noProxies = lost
	k.runProxies()
}

func TestStepAside(t *testing.T) {
	k := active(t, "web")
	k.targets.sleep("web")
	k.lose(true)
	k.run(25 * time.Second)
	if k.phase("web") != contract.Active {
		t.Fatalf("%s after 25 s", k.phase("web"))
	}
	k.restart() // the clock goes on
	k.run(6 * time.Second)
	if k.phase("web") != contract.Pending || !k.event("SteppedAside") {
		t.Fatalf("%s after 31 s without a proxy", k.phase("web"))
	}
	if want := annotated("web"); k.service("web").Spec.Selector["app"] != want.Spec.Selector["app"] || k.targets.asleep["web"] > 0 {
		t.Fatalf("selector %v, asleep %v", k.service("web").Spec.Selector, k.targets.asleep)
	}
	if k.targets.Held(k.targets.lease(deployed("web"))) {
		t.Error("the target is still held")
	}
	k.run(10 * time.Minute)
	k.writes = 0
	if again := k.pass(); again != 0 || k.writes > 0 {
		t.Errorf("while there is no proxy: again after %s, %d writes", again, k.writes)
	}
}

func TestStepAsideWakesFirst(t *testing.T) {
	k := active(t, "web")
	k.targets.sleep("web")
	k.targets.slow = true
	k.lose(true)
	k.run(2 * time.Minute)
	if k.phase("web") != contract.Active {
		t.Fatalf("%s without a backend", k.phase("web"))
	}
	k.must(k.raw.Create(t.Context(), pod("web")))
	k.run(10 * time.Second)
	if k.phase("web") != contract.Pending {
		t.Fatalf("%s with a backend", k.phase("web"))
	}
}

// The proxies return before the target is awake: nothing happens, and nothing stays held.
func TestStepAsideIsCalledOff(t *testing.T) {
	k := active(t, "web")
	k.targets.sleep("web")
	k.targets.slow = true
	k.lose(true)
	k.run(2 * time.Minute)
	k.lose(false)
	k.run(time.Minute)
	if k.phase("web") != contract.Active || k.targets.Held(k.targets.lease(deployed("web"))) {
		t.Errorf("%s, held %t", k.phase("web"), k.targets.Held(k.targets.lease(deployed("web"))))
	}
	var d appsv1.Deployment
	if k.get(contract.ProxyName, shop, &d); d.Annotations[RecordKey] != "" {
		t.Errorf("record %s", d.Annotations[RecordKey])
	}
}

func TestReturnsWithBackoff(t *testing.T) {
	k := active(t, "web")
	for _, wait := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute} {
		k.lose(true)
		k.run(40 * time.Second)
		if k.phase("web") != contract.Pending {
			t.Fatalf("before a wait of %s: %s without a proxy", wait, k.phase("web"))
		}
		k.lose(false)
		k.restart()
		k.run(wait - 5*time.Second)
		if k.phase("web") != contract.Pending {
			t.Fatalf("%s before proxies were ready for %s", k.phase("web"), wait)
		}
		k.run(10 * time.Second)
		if k.phase("web") != contract.Active {
			t.Fatalf("%s after proxies were ready for %s", k.phase("web"), wait)
		}
	}
	if _, settled := k.targets.settled["web"]; !settled {
		t.Error("connections that were made meanwhile get no time to settle")
	}
	// A long time without trouble makes it forget.
	k.run(3 * time.Hour)
	k.pass()
	var d appsv1.Deployment
	if k.get(contract.ProxyName, shop, &d); d.Annotations[RecordKey] != "" {
		t.Errorf("record %s", d.Annotations[RecordKey])
	}
}

func TestNeverStepsAside(t *testing.T) {
	k := newKit(t, optedIn())
	k.options.StepAsideAfter = 0
	k.restart()
	k.create(annotated("web"))
	k.run(time.Second)
	k.lose(true)
	k.run(time.Hour)
	if k.phase("web") != contract.Active {
		t.Errorf("it is %s", k.phase("web"))
	}
}

func TestTellsWhyAServiceWaits(t *testing.T) {
	k := newKit(t, optedIn())
	k.create(annotated("web"))
	k.lose(true)
	k.pass()
	k.runProxies()
	p := &corev1.Pod{}
	k.get(contract.ProxyName+"-0", shop, p)
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"},
	}}}
	k.must(k.raw.Status().Update(t.Context(), p))
	var d appsv1.Deployment
	k.get(contract.ProxyName, shop, &d)
	d.CreationTimestamp = metav1.NewTime(k.now)
	k.must(k.raw.Update(t.Context(), &d))
	k.run(50 * time.Second)
	if k.event("ProxyNotReady") {
		t.Error("too early")
	}
	k.run(20 * time.Second)
	if !k.event("ProxyNotReady") || len(k.seen) != 1 {
		t.Errorf("Events: %q", k.seen)
	}
}
