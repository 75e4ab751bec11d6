package controller

import (
	"maps"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// active returns a kit whose Services of the given names are proxied, their targets awake.
func active(t *testing.T, names ...string) *kit {
	t.Helper()
	k := newKit(t, optedIn())
	for _, name := range names {
		k.create(annotated(name))
		k.must(k.raw.Create(t.Context(), pod(name)))
		k.targets.manage(name)
	}
	k.run(time.Second)
	for _, name := range names {
		if phase := k.phase(name); phase != contract.Active {
			t.Fatalf("%s is %q", name, phase)
		}
	}
	return k
}

// unmanaged checks that a Service is the user's own again.
func (k *kit) unmanaged(name string) {
	k.t.Helper()
	svc := k.service(name)
	want := annotated(name)
	if !maps.Equal(svc.Spec.Selector, want.Spec.Selector) || svc.Spec.Ports[0].TargetPort != want.Spec.Ports[0].TargetPort {
		k.t.Errorf("%s: spec %v %v", name, svc.Spec.Selector, svc.Spec.Ports)
	}
	for _, key := range []string{contract.PhaseKey, contract.PortsKey, contract.OriginalKey} {
		if v, ok := svc.Annotations[key]; ok {
			k.t.Errorf("%s: still %s=%s", name, key, v)
		}
	}
	if svc.Labels[contract.ManagedLabel] != "" {
		k.t.Errorf("%s: still labelled", name)
	}
}

// gone checks that nothing of the proxy is left.
func (k *kit) gone() {
	k.t.Helper()
	for _, o := range proxyobjects.Present(shop) {
		if k.exists(o, contract.ProxyName) {
			k.t.Errorf("%s is left", o.Kind)
		}
	}
}

func TestOptIn(t *testing.T) {
	k := active(t, "web", "db")
	seen := map[string]string{}
	for _, name := range []string{"web", "db"} {
		svc := k.service(name)
		slot := svc.Annotations[contract.PortsKey]
		if other, twice := seen[slot]; twice {
			t.Errorf("%s and %s share %s", name, other, slot)
		}
		seen[slot] = name
		if !contract.IsProxySelector(svc.Spec.Selector) || !contract.InPortRange(svc.Spec.Ports[0].TargetPort.IntVal) {
			t.Errorf("%s: spec %v %v", name, svc.Spec.Selector, svc.Spec.Ports)
		}
	}
	for _, o := range proxyobjects.Present(shop) {
		if has := k.exists(o, contract.ProxyName); has != (o.Kind != "Lease") {
			t.Errorf("%s exists: %t", o.Kind, has)
		}
	}
	if len(k.targets.settled) == 0 {
		t.Error("the direct connections of Services with ready pods get no time to settle")
	}
	if !k.event("Active") {
		t.Error("no Event")
	}
}

// In the steady state a pass costs nothing.
func TestSteady(t *testing.T) {
	k := active(t, "web", "db")
	k.writes, k.liveReads = 0, 0
	for range 3 {
		if again := k.pass(); again != 0 {
			t.Errorf("wants to look again after %s", again)
		}
	}
	if k.writes > 0 || k.liveReads > 0 {
		t.Errorf("%d writes and %d live reads", k.writes, k.liveReads)
	}
	k.restart()
	if k.pass(); k.writes > 0 || k.liveReads > 1 {
		t.Errorf("after a restart: %d writes and %d live reads", k.writes, k.liveReads)
	}
}

func TestSettle(t *testing.T) {
	for _, tt := range []struct {
		name  string
		late  time.Duration // how long after the Service the proxies come
		alive bool          // annotated later, with a ready pod
		ready bool
		want  bool
	}{
		{name: "created annotated", ready: true, want: true},
		{name: "created annotated, proxies very late", late: time.Hour, ready: true, want: true},
		{name: "created annotated without a pod"},
		{name: "annotated while it is used", alive: true, ready: true, want: true},
		{name: "annotated without a pod", alive: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newKit(t, optedIn())
			k.noProxies = tt.late > 0
			svc := annotated("web")
			if tt.alive {
				svc.Annotations = nil
			}
			k.create(svc)
			if tt.ready {
				k.must(k.raw.Create(t.Context(), pod("web")))
			}
			if tt.alive {
				k.edit("web", func(s *corev1.Service) { s.Annotations = map[string]string{contract.TargetKey: "web"} })
			}
			k.run(tt.late + time.Second)
			k.noProxies = false
			k.runProxies()
			k.run(time.Second)
			if k.phase("web") != contract.Active {
				t.Fatalf("it is %s", k.phase("web"))
			}
			if until, settled := k.targets.settled["web"]; settled != tt.want {
				t.Errorf("settled until %s: %t, want %t", until, settled, tt.want)
			}
		})
	}
}

func TestEveryReadyProxyMustListen(t *testing.T) {
	k := newKit(t, optedIn())
	k.create(annotated("web"))
	other := pod("silent")
	other.Labels = proxyobjects.Labels()
	k.must(k.raw.Create(t.Context(), other))
	k.run(time.Minute)
	if k.phase("web") != contract.Pending {
		t.Fatalf("%s although a ready proxy does not listen", k.phase("web"))
	}
	other.Status.Conditions[0].Status = corev1.ConditionFalse
	k.must(k.raw.Status().Update(t.Context(), other))
	k.run(time.Second)
	if k.phase("web") != contract.Active {
		t.Fatalf("%s although all ready proxies listen", k.phase("web"))
	}
}

func TestPortAdded(t *testing.T) {
	k := active(t, "web")
	k.edit("web", func(s *corev1.Service) {
		s.Spec.Ports[0].Name = "http"
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name: "admin", Port: 81, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("admin"),
		})
	})
	if got := k.service("web").Spec.Ports[1].TargetPort.StrVal; got != contract.PendingTargetPort {
		t.Errorf("before it is allocated: %s", got)
	}
	k.run(time.Second)
	svc := k.service("web")
	if ports, err := contract.ParsePorts(svc.Annotations[contract.PortsKey]); err != nil || svc.Spec.Ports[1].TargetPort.IntVal != ports[81] || ports[81] == 0 {
		t.Errorf("%v, allocated %v, %v", svc.Spec.Ports, ports, err)
	}
}

func TestOptOut(t *testing.T) {
	for _, how := range []struct {
		name string
		do   func(*kit)
	}{
		{"annotation", func(k *kit) {
			k.edit("web", func(s *corev1.Service) { delete(s.Annotations, contract.TargetKey) })
		}},
		{"label", func(k *kit) { k.label(shop, contract.InjectLabel, "disabled") }},
		{"uninstall", func(k *kit) { k.label(own, contract.UninstallLabel, contract.UninstallTrue) }},
		{"uninstall of this installation", func(k *kit) { k.label(own, contract.UninstallLabel, selfUID) }},
	} {
		for _, asleep := range []bool{false, true} {
			t.Run(how.name+map[bool]string{true: " while asleep"}[asleep], func(t *testing.T) {
				k := active(t, "web")
				if asleep {
					k.targets.sleep("web")
				}
				how.do(k)
				k.run(5 * time.Second)
				k.unmanaged("web")
				if !k.exists(&corev1.Pod{}, "web-0") {
					t.Error("the target is not awake")
				}
				if l := k.targets.lease(deployed("web")); l != nil {
					t.Errorf("the target's Lease is left: %v", l.Annotations)
				}
				if !k.exists(&appsv1.Deployment{}, contract.ProxyName) {
					t.Error("the proxy is gone at once: endpoints elsewhere still lead to it")
				}
				k.run(2 * time.Minute)
				k.gone()
				k.writes = 0
				if again := k.pass(); again != 0 || k.writes > 0 {
					t.Errorf("afterwards: again after %s, %d writes", again, k.writes)
				}
			})
		}
	}
}

// TestUninstallOfAnother: a Namespace that was left with its label keeps nobody from installing TPA there again, and what
// it means is not asked again and again.
func TestUninstallOfAnother(t *testing.T) {
	k := newKit(t, optedIn())
	k.label(own, contract.UninstallLabel, "of-another")
	k.create(annotated("web"))
	k.must(k.raw.Create(t.Context(), pod("web")))
	k.run(time.Second)
	if got := k.phase("web"); got != contract.Active {
		t.Fatalf("phase %q", got)
	}
	k.liveReads = 0
	if k.pass(); k.liveReads > 0 {
		t.Errorf("%d live reads", k.liveReads)
	}
	k.label(own, contract.UninstallLabel, selfUID)
	k.run(5 * time.Second)
	k.unmanaged("web")
}

// TestNamespaceSelector: a namespace that is not among those that may opt in is left alone, and one that no longer is opts out.
func TestNamespaceSelector(t *testing.T) {
	k := newKit(t, optedIn())
	k.options.NamespaceSelector = "env in (dev,test)"
	k.restart()
	k.must(k.raw.Create(t.Context(), annotated("web")))
	k.must(k.raw.Create(t.Context(), pod("web")))
	k.run(10 * time.Second)
	if k.writes > 0 {
		t.Fatalf("%d writes in a namespace that may not opt in", k.writes)
	}
	k.label(shop, "env", "dev")
	k.run(10 * time.Second)
	if got := k.phase("web"); got != contract.Active {
		t.Fatalf("phase %q", got)
	}
	k.label(shop, "env", "prod")
	k.run(5 * time.Second)
	k.unmanaged("web")
}

func TestRestoreWaitsForABackend(t *testing.T) {
	k := active(t, "web")
	k.targets.sleep("web")
	k.targets.slow = true
	k.edit("web", func(s *corev1.Service) { delete(s.Annotations, contract.TargetKey) })
	k.run(20 * time.Second)
	if k.phase("web") != contract.Restoring {
		t.Fatalf("%q before a pod was ready", k.phase("web"))
	}
	k.restart()
	k.must(k.raw.Create(t.Context(), pod("web")))
	k.run(10 * time.Second)
	k.unmanaged("web")
}

func TestRestoreTimesOut(t *testing.T) {
	k := active(t, "web")
	k.targets.sleep("web")
	k.targets.slow = true
	k.label(shop, contract.InjectLabel, "disabled")
	k.run(3 * time.Minute)
	k.restart() // which must not start the clock anew
	k.run(110 * time.Second)
	if k.phase("web") != contract.Restoring {
		t.Fatalf("%q before the time is over", k.phase("web"))
	}
	k.run(20 * time.Second)
	k.unmanaged("web")
	if !k.event("RestoredAsleep") {
		t.Error("nobody is told")
	}
}

func TestNothingToWake(t *testing.T) {
	for name, prepare := range map[string]func(*fakeTargets){
		"scaled to zero by hand":    func(f *fakeTargets) { f.zero = map[string]bool{"web": true} },
		"the Deployment is deleted": func(f *fakeTargets) { f.missing = map[string]bool{"web": true} },
	} {
		t.Run(name, func(t *testing.T) {
			k := active(t, "web")
			k.must(k.raw.Delete(t.Context(), pod("web")))
			prepare(k.targets)
			k.edit("web", func(s *corev1.Service) { delete(s.Annotations, contract.TargetKey) })
			k.run(time.Second)
			k.unmanaged("web")
		})
	}
}

// A Service that no longer names its target wakes it all the same, and nobody else's.
func TestFindsTheTarget(t *testing.T) {
	k := active(t, "web", "db")
	k.targets.sleep("web")
	k.targets.sleep("db")
	k.edit("web", func(s *corev1.Service) { delete(s.Annotations, contract.TargetKey) })
	k.run(5 * time.Second)
	k.unmanaged("web")
	if k.targets.asleep["db"] == 0 {
		t.Error("db was woken too")
	}
	if k.targets.asleep["web"] > 0 {
		t.Error("web still sleeps")
	}
}

func TestSharedTarget(t *testing.T) {
	k := active(t, "web")
	second := annotated("web")
	second.Name, second.UID = "web2", "uid-web2"
	k.create(second)
	k.run(time.Second)
	k.targets.sleep("web")
	k.edit("web2", func(s *corev1.Service) { delete(s.Annotations, contract.TargetKey) })
	k.run(5 * time.Second)
	if k.phase("web2") != "" || k.phase("web") != contract.Active {
		t.Errorf("web2 is %q, web is %q", k.phase("web2"), k.phase("web"))
	}
	if k.targets.asleep["web"] > 0 {
		t.Error("web sleeps, and web2 leads to it")
	}
	if l := k.targets.lease(deployed("web")); l == nil || k.targets.Held(l) {
		t.Error("the target is still held, or forgotten although web names it")
	}
}

func TestDeletedService(t *testing.T) {
	k := active(t, "web", "db")
	k.targets.sleep("web")
	k.targets.sleep("db")
	k.must(k.raw.Delete(t.Context(), k.service("web")))
	k.run(time.Second)
	if k.targets.asleep["web"] > 0 || k.targets.asleep["db"] == 0 {
		t.Errorf("asleep: %v, want db alone", k.targets.asleep)
	}
}

func TestBackIn(t *testing.T) {
	k := active(t, "web")
	k.targets.sleep("web")
	k.targets.slow = true
	k.label(shop, contract.InjectLabel, "disabled")
	k.run(10 * time.Second)
	k.label(shop, contract.InjectLabel, contract.InjectEnabled)
	k.run(10 * time.Second)
	if k.phase("web") != contract.Active {
		t.Errorf("it is %q", k.phase("web"))
	}
	if k.targets.Held(k.targets.lease(deployed("web"))) {
		t.Error("the target is still held")
	}
}

func TestPendingOptOut(t *testing.T) {
	k := newKit(t, optedIn())
	k.noProxies = true
	k.create(annotated("web"))
	k.run(time.Second)
	k.label(shop, contract.InjectLabel, "disabled")
	k.run(time.Second)
	k.unmanaged("web")
}

func TestAnnotatedTooEarly(t *testing.T) {
	k := newKit(t, namespace(shop, nil))
	k.create(annotated("web"))
	if again := k.pass(); again != 0 || k.phase("web") != "" || k.writes > 0 {
		t.Fatalf("a namespace that is not opted in: %q, %d writes", k.phase("web"), k.writes)
	}
	k.label(shop, contract.InjectLabel, contract.InjectEnabled)
	if k.pass(); k.phase("web") != contract.Pending || k.service("web").Annotations[contract.PortsKey] == "" || k.writes != 1 {
		t.Errorf("%d writes, and it is %q with ports %q", k.writes, k.phase("web"), k.service("web").Annotations[contract.PortsKey])
	}
	k.run(time.Second)
	if k.phase("web") != contract.Active {
		t.Fatalf("it is %q", k.phase("web"))
	}
}

// An API server that has not heard of the label lets a Service through: it is found a little later.
func TestAnnotatedMeanwhile(t *testing.T) {
	k := newKit(t, namespace(shop, nil))
	k.label(shop, contract.InjectLabel, contract.InjectEnabled)
	k.run(time.Second)
	svc := annotated("web")
	k.must(k.raw.Create(t.Context(), svc)) // not admitted
	k.run(10 * time.Second)
	if k.phase("web") != contract.Active {
		t.Fatalf("it is %q", k.phase("web"))
	}
}

func TestRefusedIsToldOnce(t *testing.T) {
	k := newKit(t, namespace(shop, nil))
	k.create(annotated("web"))
	k.deny = "spec.type: ExternalName has no pods"
	k.label(shop, contract.InjectLabel, contract.InjectEnabled)
	k.run(time.Minute)
	if !k.event("Refused") || len(k.seen) != 1 {
		t.Errorf("Events: %q", k.seen)
	}
}

func TestSelfHeal(t *testing.T) {
	k := active(t, "web")
	for _, o := range proxyobjects.Present(shop) {
		if o.Kind == "Lease" {
			continue
		}
		k.must(k.raw.Delete(t.Context(), o.DeepCopy()))
		k.run(time.Second)
		if !k.exists(o, contract.ProxyName) {
			t.Errorf("%s did not come back", o.Kind)
		}
	}
	var d appsv1.Deployment
	k.get(contract.ProxyName, shop, &d)
	*d.Spec.Replicas = 0
	k.must(k.raw.Update(t.Context(), &d))
	k.run(time.Second)
	if k.get(contract.ProxyName, shop, &d); *d.Spec.Replicas != contract.DefaultProxyReplicas {
		t.Errorf("%d replicas", *d.Spec.Replicas)
	}
	k.options.ProxyImage = "proxy:v2"
	k.restart()
	k.run(time.Second)
	if k.get(contract.ProxyName, shop, &d); d.Spec.Template.Spec.Containers[0].Image != "proxy:v2" {
		t.Errorf("image %s", d.Spec.Template.Spec.Containers[0].Image)
	}
}

func TestNamespaceDefaults(t *testing.T) {
	ns := optedIn()
	ns.Annotations = map[string]string{contract.IdleTimeoutKey: "90s", contract.ProxyReplicasKey: "many"}
	k := newKit(t, ns)
	k.create(annotated("web"))
	k.run(time.Second)
	lease := metadata("coordination.k8s.io/v1", "Lease")
	k.get(contract.ProxyName, shop, lease)
	if d, err := contract.ParseDefaults(lease.Annotations); err != nil || d.IdleTimeout != 90*time.Second {
		t.Errorf("proxies read %v, %v", d, err)
	}
	var dep appsv1.Deployment
	if k.get(contract.ProxyName, shop, &dep); *dep.Spec.Replicas != contract.DefaultProxyReplicas || !k.event("InvalidAnnotation") {
		t.Errorf("%d replicas; Events: %q", *dep.Spec.Replicas, k.seen)
	}
	for _, tt := range []struct {
		mode string
		want contract.Mode
	}{{"paused", contract.ModePaused}, {"observe", contract.ModeObserve}, {"sleep", contract.ModeSleep}, {"off", contract.ModeObserve}} {
		k.get(shop, "", ns)
		ns.Annotations = map[string]string{contract.IdleTimeoutKey: "1h", contract.ModeKey: tt.mode}
		k.must(k.raw.Update(t.Context(), ns))
		k.run(time.Second)
		k.get(contract.ProxyName, shop, lease)
		if d, err := contract.ParseDefaults(lease.Annotations); err != nil || d != (contract.Defaults{IdleTimeout: time.Hour, Mode: tt.want}) {
			t.Errorf("mode %s: proxies read %v, %v", tt.mode, d, err)
		}
	}
	k.get(shop, "", ns)
	ns.Annotations = map[string]string{contract.ProxyReplicasKey: "3"}
	k.must(k.raw.Update(t.Context(), ns))
	k.run(time.Second)
	if k.exists(lease, contract.ProxyName) {
		t.Error("the Lease is left")
	}
	if k.get(contract.ProxyName, shop, &dep); *dep.Spec.Replicas != 3 {
		t.Errorf("%d replicas", *dep.Spec.Replicas)
	}
}

func TestLingerIsCancelled(t *testing.T) {
	k := active(t, "web")
	k.must(k.raw.Delete(t.Context(), k.service("web")))
	k.run(30 * time.Second)
	k.restart()
	k.create(annotated("db"))
	k.run(5 * time.Minute)
	if k.phase("db") != contract.Active || !k.exists(&appsv1.Deployment{}, contract.ProxyName) {
		t.Errorf("db is %q", k.phase("db"))
	}
	k.must(k.raw.Delete(t.Context(), k.service("db")))
	k.run(30 * time.Second)
	if !k.exists(&appsv1.Deployment{}, contract.ProxyName) {
		t.Error("the first linger was not forgotten")
	}
	k.restart()
	k.run(40 * time.Second) // 70 s in two processes
	k.gone()
}

func TestOffLimits(t *testing.T) {
	k := active(t, "web")
	for _, name := range []string{"kube-system", own} {
		ns := namespace(name, map[string]string{contract.InjectLabel: contract.InjectEnabled})
		k.must(client.IgnoreAlreadyExists(k.raw.Create(t.Context(), ns)))
		k.writes = 0
		if result, err := k.r.Reconcile(t.Context(), request(name)); err != nil || result.RequeueAfter != 0 || k.writes > 0 {
			t.Errorf("%s: %v, %v, %d writes", name, result, err, k.writes)
		}
	}
}
