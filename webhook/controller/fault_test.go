package controller

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
)

// TestKilledAnywhere kills the controller at each write of each transition, just before it and just after, and starts
// another, which remembers nothing. It must end where it would have ended undisturbed.
func TestKilledAnywhere(t *testing.T) {
	optOut := func(k *kit) {
		k.edit("web", func(s *corev1.Service) { delete(s.Annotations, contract.TargetKey) })
	}
	restored := func(k *kit) {
		k.unmanaged("web")
		k.gone()
		if len(k.targets.asleep) > 0 || !k.exists(&corev1.Pod{}, "web-0") {
			k.t.Errorf("asleep: %v", k.targets.asleep)
		}
		if l := k.targets.lease(deployed("web")); l != nil {
			k.t.Errorf("the target's Lease is left: %v", l.Annotations)
		}
	}
	isActive := func(names ...string) func(*kit) {
		return func(k *kit) {
			slots := map[int32]bool{}
			for _, name := range names {
				svc := k.service(name)
				slot := svc.Spec.Ports[0].TargetPort.IntVal
				if phaseOf(svc) != contract.Active || slots[slot] || !contract.InPortRange(slot) {
					k.t.Errorf("%s is %s at %d", name, phaseOf(svc), slot)
				}
				slots[slot] = true
				if l := k.targets.lease(deployed(name)); l != nil && k.targets.Held(l) {
					k.t.Errorf("%s is held for ever", name)
				}
			}
		}
	}
	for _, tt := range []struct {
		name  string
		begin func(*testing.T) *kit
		do    func(*kit)
		span  time.Duration
		check func(*kit)
	}{
		{
			name:  "opt in",
			begin: func(t *testing.T) *kit { return newKit(t, optedIn()) },
			do: func(k *kit) {
				k.create(annotated("web"))
				k.create(annotated("db"))
			},
			span: time.Minute, check: isActive("web", "db"),
		},
		{
			name: "opt in a Service in use, by the namespace's label",
			begin: func(t *testing.T) *kit {
				k := newKit(t, namespace(shop, nil))
				k.create(annotated("web"))
				k.must(k.raw.Create(t.Context(), pod("web")))
				return k
			},
			do:   func(k *kit) { k.label(shop, contract.InjectLabel, contract.InjectEnabled) },
			span: time.Minute, check: isActive("web"),
		},
		{
			name:  "opt out",
			begin: func(t *testing.T) *kit { return active(t, "web") },
			do:    optOut, span: 3 * time.Minute, check: restored,
		},
		{
			name:  "opt out while asleep",
			begin: func(t *testing.T) *kit { return active(t, "web") },
			do: func(k *kit) {
				k.targets.sleep("web")
				optOut(k)
			},
			span: 3 * time.Minute, check: restored,
		},
		{
			name:  "take the label off while one sleeps",
			begin: func(t *testing.T) *kit { return active(t, "web", "db") },
			do: func(k *kit) {
				k.targets.sleep("web")
				k.label(shop, contract.InjectLabel, "no")
			},
			span: 3 * time.Minute, check: func(k *kit) { restored(k); k.unmanaged("db") },
		},
		{
			name: "opt out of a shared target",
			begin: func(t *testing.T) *kit {
				k := active(t, "web")
				second := annotated("web")
				second.Name, second.UID = "web2", "uid-web2"
				k.create(second)
				k.run(time.Second)
				return k
			},
			do: func(k *kit) {
				k.targets.sleep("web")
				k.edit("web2", func(s *corev1.Service) { delete(s.Annotations, contract.TargetKey) })
			},
			span: time.Minute, check: isActive("web"),
		},
		{
			name:  "delete the Service of a sleeping target",
			begin: func(t *testing.T) *kit { return active(t, "web") },
			do: func(k *kit) {
				k.targets.sleep("web")
				k.must(k.raw.Delete(k.t.Context(), k.service("web")))
			},
			span: 3 * time.Minute, check: func(k *kit) {
				k.gone()
				if len(k.targets.asleep) > 0 || k.targets.lease(deployed("web")) != nil {
					k.t.Errorf("asleep: %v", k.targets.asleep)
				}
			},
		},
		{
			name:  "step aside and return",
			begin: func(t *testing.T) *kit { return active(t, "web") },
			do: func(k *kit) {
				k.targets.sleep("web")
				k.lose(true)
				k.run(time.Minute)
				if k.phase("web") != contract.Pending {
					k.t.Errorf("%s without a proxy", k.phase("web"))
				}
				k.lose(false)
			},
			span: 10 * time.Minute, check: func(k *kit) {
				isActive("web")(k)
				var d appsv1.Deployment
				k.get(contract.ProxyName, shop, &d)
				if n := parseRecord(d.Annotations[RecordKey]).Asides; n != 1 {
					k.t.Errorf("it stepped aside once and counts %d", n)
				}
			},
		},
		{
			name:  "a new image",
			begin: func(t *testing.T) *kit { return active(t, "web") },
			do: func(k *kit) {
				k.options.ProxyImage = "proxy:v2"
				k.restart()
			},
			span: time.Minute, check: func(k *kit) {
				isActive("web")(k)
				var d appsv1.Deployment
				if k.get(contract.ProxyName, shop, &d); d.Spec.Template.Spec.Containers[0].Image != "proxy:v2" {
					k.t.Errorf("image %s", d.Spec.Template.Spec.Containers[0].Image)
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			count := 0
			for n := 0; n <= count; n++ { // the undisturbed one, n = 0, counts the writes
				for _, before := range []bool{true, false} {
					t.Run(fmt.Sprintf("write %d of %d, before %t", n, count, before), func(t *testing.T) {
						k := tt.begin(t)
						k.writes, k.failAt, k.before = 0, n, before
						tt.do(k)
						k.run(tt.span)
						tt.check(k)
						if n == 0 {
							count = k.writes
						}
						k.rests()
					})
				}
			}
			if count == 0 {
				t.Error("nothing was written")
			}
		})
	}
}

// rests checks that nothing is left to do.
func (k *kit) rests() {
	k.t.Helper()
	k.writes, k.failAt = 0, 0
	k.restart()
	if again := k.pass(); k.writes > 0 {
		k.t.Errorf("%d writes although all is done, and again after %s", k.writes, again)
	}
}

// Two controllers at once, of which one has not noticed that it does not lead any more, may give two Services one port.
func TestDuplicateSlot(t *testing.T) {
	k := newKit(t, optedIn())
	k.create(annotated("web"))
	k.now = k.now.Add(time.Minute)
	young := annotated("db")
	k.create(young)
	for _, name := range []string{"web", "db"} {
		svc := k.service(name)
		metav1.SetMetaDataAnnotation(&svc.ObjectMeta, contract.PortsKey, "80:20042")
		k.must(k.raw.Update(t.Context(), svc))
	}
	k.run(time.Second)
	web, db := k.service("web").Annotations[contract.PortsKey], k.service("db").Annotations[contract.PortsKey]
	if web != "80:20042" || db == web || k.phase("db") != contract.Active {
		t.Errorf("web has %s, db has %s and is %s", web, db, k.phase("db"))
	}
}
