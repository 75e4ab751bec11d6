//go:build e2e

package e2e

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// underFire is a namespace whose two Services are opted in and out: web, which is called all the time, and sleeper.
type underFire struct {
	*fixture
	// in and out opt both in and out. They need not wait for that to be done.
	in, out func(*underFire)
	fire    *fire
	before  map[string]kit.Snapshot
	trails  map[string]*kit.Trail[*corev1.Service]
	from    map[string]int // where in the trails a round begins
	callers *kit.Running   // of sleeper
	wakes   kit.Tally      // what became of them
}

// underFire makes the namespace what it is before it is opted in.
func (f *fixture) underFire(in, out func(*underFire)) *underFire {
	f.Helper()
	u := &underFire{
		fixture: f, in: in, out: out,
		before: map[string]kit.Snapshot{}, trails: map[string]*kit.Trail[*corev1.Service]{}, from: map[string]int{},
	}
	for name, replicas := range map[string]int32{"web": 2, "sleeper": 1} {
		app := f.app(name, replicas)
		app.Args = []string{"--stop-delay=0s"}
		service := app.Service(nil)
		if name == "sleeper" {
			service.Annotations = map[string]string{contract.IdleTimeoutKey: "1s"}
		}
		f.create(app.Deployment(), service)
		f.ready(name, replicas)
		f.reachable(address(service, 80))
		u.before[name] = kit.Snap(service)
		u.trails[name] = f.followService(name)
	}
	return u
}

// rounds makes so many rounds, and says how the connections fared.
func (u *underFire) rounds(n int, ways []way) {
	u.Helper()
	start := time.Now()
	u.fire = u.fixture.fire(address(u.service("web"), 80))
	for i := range n {
		u.round(ways[i%len(ways)])
	}
	u.unserved()
	web := u.fire.stop()
	all := web.Plus(u.wakes)
	requests := all.Count[kit.OK] + all.Failed()
	u.Logf("%d rounds in %.0fs: %d connections, %d requests, %d failed, the longest answer after %s, of a Service that slept after %s",
		n, time.Since(start).Seconds(), all.Connections, requests, all.Failed(), web.Slowest.Round(time.Millisecond),
		u.wakes.Slowest.Round(time.Millisecond))
	if all.Failed() > 0 {
		u.Errorf("%d of %d requests failed", all.Failed(), requests)
	}
}

// round opts in and out once. In between each node's new connections lead through a proxy, and after it directly.
func (u *underFire) round(w way) {
	u.Helper()
	u.fire.hold("before")
	if w.early != nil {
		u.mark()
		w.early(u)
		u.restoredAll()
	}
	u.mark()
	u.in(u)
	u.sees("web", contract.Pending)
	u.fire.hold("while Pending")
	u.active("web")
	u.active("sleeper")
	u.fire.proxied()
	u.fire.hold("while Active")
	if w.late != nil {
		w.late(u)
	}
	u.mark()
	u.out(u)
	u.sees("web", contract.Restoring)
	u.fire.hold("while Restoring")
	if w.calls && u.callers == nil {
		u.call()
	}
	u.restoredAll()
	u.fire.hold("after")
	u.fire.direct()
	u.fire.next()
	u.hangUp()
	if w.after != nil {
		w.after(u)
	}
}

// mark has sees look at what happens from now on, while both Services stay as they are.
func (u *underFire) mark() {
	u.Helper()
	for name, trail := range u.trails {
		version := u.service(name).ResourceVersion
		_, err := trail.Await(u.ctx, patience, "version "+version, 0, func(c kit.Change[*corev1.Service]) bool {
			return c.Object.ResourceVersion == version
		})
		u.must(err)
		u.from[name] = trail.Len()
	}
}

// sees waits until a Service was seen in a phase since the mark.
func (u *underFire) sees(name string, phase contract.Phase) {
	u.Helper()
	_, err := u.trails[name].Await(u.ctx, patience, string(phase), u.from[name], inPhase(phase))
	u.must(err)
}

// restoredAll waits until both Services are as they were.
func (u *underFire) restoredAll() {
	u.Helper()
	for name, before := range u.before {
		u.restored(name, before)
	}
}

// call starts clients of the Service that sleeps.
func (u *underFire) call() {
	u.Helper()
	u.callers = kit.StartLoad(u.ctx, kit.Load{
		From: u.far, Address: address(u.service("sleeper"), 80), App: "sleeper-", Clients: 2, Pause: askEvery,
	})
}

// hangUp ends them after some answers.
func (u *underFire) hangUp() {
	u.Helper()
	if u.callers == nil {
		return
	}
	u.wait("answers of sleeper", answers(u.callers, 10))
	tally := u.callers.Stop()
	if tally.Failed() > 0 {
		u.Errorf("clients of sleeper: %s", tally)
	}
	u.wakes, u.callers = u.wakes.Plus(tally), nil
}
