package main

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/test/soak/call"
)

// target is a workload that sleeps and wakes.
type target struct {
	name string
	// idle is the idle time-out of each of its Services.
	idle time.Duration
	// image is kit.PostgresImage, kit.RedisImage, or the test app's, "".
	image string
	// noProbe: its pods are ready before they listen.
	noProbe bool
}

// service leads to one or several targets.
type service struct {
	name    string
	targets []string
	port    string // name of the container's
	// protocol names an entry of protocols.
	protocol string
}

// protocols are how clients talk with the Services.
var protocols = map[string]call.Protocol{
	"http":       call.HTTPClose,
	"keep-alive": call.HTTP,
	"greeting":   call.Greeting,
	"postgres":   call.Postgres,
	"redis":      call.Redis,
}

// plan is what the soak runs on. A round of a target with an idle time-out of 2 s takes about 4 s.
type plan struct {
	targets  []target
	services []service
}

// wholePlan is 20 Services on 12 targets.
func wholePlan() plan {
	s := time.Second
	return plan{
		targets: []target{
			{name: "web-a", idle: 2 * s},
			{name: "web-b", idle: 2 * s, noProbe: true},
			{name: "web-c", idle: 2 * s, noProbe: true},
			{name: "keep-a", idle: 2 * s, noProbe: true},
			{name: "keep-b", idle: 5 * s / 2, noProbe: true},
			{name: "greet-a", idle: 2 * s, noProbe: true},
			{name: "greet-b", idle: 3 * s, noProbe: true},
			{name: "redis-a", idle: 2 * s, image: kit.RedisImage},
			{name: "redis-b", idle: 4 * s, image: kit.RedisImage},
			{name: "postgres", idle: 5 * s, image: kit.PostgresImage},
			{name: "duo-a", idle: 3 * s, noProbe: true},
			{name: "duo-b", idle: 3 * s},
		},
		services: []service{
			{"web-a", []string{"web-a"}, "http", "http"},
			{"web-a-too", []string{"web-a"}, "http", "http"},
			{"web-b", []string{"web-b"}, "http", "http"},
			{"web-b-too", []string{"web-b"}, "http", "http"},
			{"web-c", []string{"web-c"}, "http", "http"},
			{"keep-a", []string{"keep-a"}, "http", "keep-alive"},
			{"keep-a-too", []string{"keep-a"}, "http", "keep-alive"},
			{"keep-b", []string{"keep-b"}, "http", "keep-alive"},
			{"keep-b-close", []string{"keep-b"}, "http", "http"},
			{"greet-a", []string{"greet-a"}, "greeting", "greeting"},
			{"greet-a-http", []string{"greet-a"}, "http", "http"},
			{"greet-b", []string{"greet-b"}, "greeting", "greeting"},
			{"redis-a", []string{"redis-a"}, "redis", "redis"},
			{"redis-a-too", []string{"redis-a"}, "redis", "redis"},
			{"redis-b", []string{"redis-b"}, "redis", "redis"},
			{"postgres", []string{"postgres"}, "postgres", "postgres"},
			{"postgres-too", []string{"postgres"}, "postgres", "postgres"},
			{"duo", []string{"duo-a", "duo-b"}, "http", "keep-alive"},
			{"duo-a", []string{"duo-a"}, "http", "http"},
			{"duo-b", []string{"duo-b"}, "greeting", "greeting"},
		},
	}
}

// groups are the Services that keep each other's targets awake: those that share one.
func (p plan) groups() [][]service {
	var groups [][]service
	for _, s := range p.services {
		joined := []service{s}
		groups = slices.DeleteFunc(groups, func(g []service) bool {
			shares := slices.ContainsFunc(g, func(other service) bool {
				return slices.ContainsFunc(other.targets, func(t string) bool { return slices.Contains(s.targets, t) })
			})
			if shares {
				joined = append(joined, g...)
			}
			return shares
		})
		groups = append(groups, joined)
	}
	for _, g := range groups {
		slices.SortFunc(g, func(a, b service) int { return cmp.Compare(a.name, b.name) })
	}
	return groups
}

// idle is how long a Service's targets must be unused to sleep.
func (p plan) idle(s service) time.Duration {
	var longest time.Duration
	for _, t := range p.targets {
		if slices.Contains(s.targets, t.name) {
			longest = max(longest, t.idle)
		}
	}
	return longest
}

// stopDelay is how long the test app serves on after SIGTERM: longer than it takes anybody to notice that it goes.
const stopDelay = time.Second

func (t target) app(namespace string) kit.App {
	app := kit.App{Name: t.name, Namespace: namespace, NoProbe: t.noProbe, Args: []string{"--stop-delay=" + stopDelay.String()}}
	switch t.image {
	case kit.PostgresImage:
		app = kit.Postgres(namespace)
	case kit.RedisImage:
		app = kit.Redis(namespace)
		// A command in the container costs as much as to start one.
		app.Ready.ProbeHandler = corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("redis")}}
	}
	app.Name = t.name
	return app
}

// memberLabel is on the pods of each target of a Service with several.
func memberLabel(service string) string { return "soak.tpa.dev/" + service }

func (p plan) deployment(t target, namespace string) *appsv1.Deployment {
	d := t.app(namespace).Deployment()
	for _, s := range p.services {
		if len(s.targets) > 1 && slices.Contains(s.targets, t.name) {
			d.Spec.Template.Labels[memberLabel(s.name)] = "member"
		}
	}
	return d
}

func (p plan) service(s service, namespace string) *corev1.Service {
	app := kit.App{Name: s.name, Namespace: namespace}
	object := app.Service(map[string]string{contract.IdleTimeoutKey: p.idle(s).String()})
	for i, t := range s.targets {
		if i > 0 {
			object.Annotations[contract.TargetKey] += ","
		}
		object.Annotations[contract.TargetKey] += t
	}
	object.Spec.Ports[0].TargetPort = intstr.FromString(s.port)
	object.Spec.Selector = map[string]string{"app": s.targets[0]}
	if len(s.targets) > 1 {
		object.Spec.Selector = map[string]string{memberLabel(s.name): "member"}
	}
	return object
}
