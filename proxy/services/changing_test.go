package services

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/proxy/target"
)

// changing is a namespace in which anything may change.
type changing struct {
	*rand.Rand
	m        *Manager
	services map[string]*corev1.Service
	pods     map[string]*corev1.Pod
	defaults contract.Defaults
	now      time.Time
	version  int
	since    map[types.UID]time.Time // of the ready pods, as they were told or first seen
	told     map[types.UID]time.Time
}

var apps = []string{"a", "b", "c", "d", "e"}

func deployment(name string) contract.Target {
	return contract.Target{Resource: "deployments", Group: "apps", Name: name}
}

func (c *changing) app() string { return apps[c.IntN(len(apps))] }

// once is true once in so many times.
func (c *changing) once(in int) bool { return c.IntN(in) == 0 }

func (c *changing) world() World {
	return World{Services: slices.Collect(maps.Values(c.services)), Pods: slices.Collect(maps.Values(c.pods)), Defaults: c.defaults}
}

// change changes one thing. Services change rarely: then the plan is made from nothing.
func (c *changing) change() {
	switch n := c.IntN(100); {
	case n < 45:
		c.changePod()
	case n < 70:
		c.changePhase(deployment(c.app()))
	case n < 85:
		c.now = c.now.Add(time.Duration(c.IntN(int(target.Doubt / 10))))
	case n < 90:
		c.m.lateness.note(types.UID("uid-"+c.app()), time.Duration(c.IntN(5))*time.Minute)
	case n < 95:
		c.m.allow(deployment(c.app()), "app="+c.app())
	case n < 97:
		c.changeService()
	case n < 98:
		c.defaults.IdleTimeout = time.Duration(1+c.IntN(3)) * time.Minute
	default: // nothing
	}
}

func (c *changing) changePod() {
	name := "pod-" + strconv.Itoa(c.IntN(12))
	was := c.pods[name]
	if was != nil && c.once(4) {
		delete(c.pods, name)
		c.m.gone(was)
		delete(c.told, was.UID)
		return
	}
	p := makePod(name, c.app(), fmt.Sprintf("10.0.0.%d", 1+c.IntN(3)))
	if c.once(3) {
		p.readiness(corev1.ConditionFalse)
	}
	if c.once(8) {
		p.terminating()
	}
	if c.once(3) {
		p.label("tier", "web")
	}
	if c.once(2) { // the plan may be sooner than the watch
		before, known := c.m.heard.Load(p.pod.UID)
		c.m.hear(was, p.pod)
		if heard, told := c.m.heard.Load(p.pod.UID); told && (!known || heard != before) {
			c.told[p.pod.UID] = heard.(time.Time)
		}
	}
	c.pods[name] = p.obj()
}

func (c *changing) changePhase(t contract.Target) {
	if c.once(8) {
		c.m.pools.doze(t) // it will be told of the phase a moment later
		return
	}
	c.version++
	state := sleep.State{
		Phase: []sleep.Phase{sleep.Awake, sleep.Awake, sleep.Asleep, sleep.Sleeping}[c.IntN(4)], Since: c.now.Add(-time.Duration(c.IntN(3))),
		By: "another", Replicas: 1, Reverted: c.IntN(2) * sleep.MaxReverted,
	}
	c.m.observe(t.Lease(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: t.Lease(), UID: "lease", ResourceVersion: strconv.Itoa(c.version),
		Annotations: map[string]string{contract.StateKey: state.String()},
	}})
}

func (c *changing) changeService() {
	name := c.app()
	if c.once(6) {
		delete(c.services, name)
		return
	}
	s := makeService(name).port(80, "http", 8080, int32(29900+c.IntN(6))).age(time.Duration(c.IntN(3)) * time.Hour)
	if c.once(3) {
		s.port(90, "other", "http", int32(29906+c.IntN(3)))
	}
	if c.once(4) {
		s.selects("tier", "web")
	}
	phases := []contract.Phase{contract.Pending, contract.Active, contract.Active, contract.Active, contract.Restoring}
	switch target := c.app(); {
	case c.once(5):
		// unmanaged
	case c.once(4):
		s.managed(phases[c.IntN(len(phases))], target+","+name+"-too")
	default:
		s.managed(phases[c.IntN(len(phases))], target)
	}
	if c.once(8) {
		s.annotate([]string{contract.OriginalKey, contract.PortsKey, contract.IdleTimeoutKey}[c.IntN(3)], "?")
	}
	c.services[name] = s.obj()
}

// readySince is what a look at every pod finds.
func (c *changing) readySince() map[types.UID]time.Time {
	since := map[types.UID]time.Time{}
	for _, pod := range c.pods {
		if !isReady(pod) {
			continue
		}
		at, known := c.since[pod.UID]
		if told, ok := c.told[pod.UID]; !known && ok {
			at = told
		} else if !known {
			at = c.now
		}
		since[pod.UID] = at
		delete(c.told, pod.UID)
	}
	c.since = since
	return since
}
