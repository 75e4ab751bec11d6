//go:build e2e

package e2e

import (
	"testing"
	"time"

	"tpa.dev/tpa/proxy/contract"
)

const (
	// fireRounds is how often a Service is opted in and out.
	fireRounds = 20
	// askEvery is how long a client waits between an answer and its next request, keptFor how long it keeps a connection.
	askEvery = 25 * time.Millisecond
	keptFor  = 5 * time.Second
)

// TestOptInAndOutUnderFire opts two Services in and out again and again: one whose clients never rest, and one that
// sleeps now and then. No connection is lost, and each time both are what they were before.
func TestOptInAndOutUnderFire(t *testing.T) {
	for _, test := range []struct {
		name string
		// before is how the namespace is before it is opted in.
		before  func(*underFire)
		in, out func(*underFire)
	}{
		{
			"annotation",
			func(u *underFire) { u.labelNamespace(contract.InjectLabel, contract.InjectEnabled) },
			(*underFire).annotateBoth,
			func(u *underFire) {
				u.annotate("web", contract.TargetKey, "")
				u.annotate("sleeper", contract.TargetKey, "")
			},
		},
		{
			"namespace",
			(*underFire).annotateBoth,
			func(u *underFire) { u.labelNamespace(contract.InjectLabel, contract.InjectEnabled) },
			func(u *underFire) { u.labelNamespace(contract.InjectLabel, "") },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := setUpNamespace(t, false).underFire(test.in, test.out)
			test.before(u)
			u.rounds(fireRounds, []way{
				{},
				{early: (*underFire).whenActive},
				{late: (*underFire).asleep, calls: true},
				{early: (*underFire).whilePending},
				{late: (*underFire).waking},
				{after: (*underFire).unserved},
				{early: (*underFire).whilePending}, // which lasts, as there is no proxy
				{late: (*underFire).again},
				{early: (*underFire).whenActive},
				{},
			})
		})
	}
}

func (u *underFire) annotateBoth() {
	u.annotate("web", contract.TargetKey, "web")
	u.annotate("sleeper", contract.TargetKey, "sleeper")
}

// way is how a round differs from one that opts in, leads connections through the proxies, and opts out.
type way struct {
	// early opts in and out before that.
	early func(*underFire)
	// late happens right before opting out.
	late func(*underFire)
	// calls says that clients call sleeper from the opting out on.
	calls bool
	// after happens when all is as it was.
	after func(*underFire)
}

// whilePending opts out before any proxy serves.
func (u *underFire) whilePending() {
	u.in(u)
	u.sees("web", contract.Pending)
	u.out(u)
	u.fire.hold("opted out while Pending")
}

// whenActive opts out before the nodes know that a proxy serves.
func (u *underFire) whenActive() {
	u.in(u)
	u.sees("web", contract.Active)
	u.out(u)
	u.fire.hold("opted out when just Active")
}

// asleep waits until sleeper sleeps.
func (u *underFire) asleep() { u.fixture.asleep("sleeper") }

// waking waits until sleeper wakes for connections that are held.
func (u *underFire) waking() {
	u.asleep()
	trail := u.followDeployment("sleeper")
	u.call()
	u.woken(trail, 0)
}

// again opts out, and in again while sleeper's target wakes for that.
func (u *underFire) again() {
	u.asleep()
	u.mark()
	u.out(u)
	u.sees("sleeper", contract.Restoring)
	u.call()
	u.in(u)
	u.active("web")
	u.active("sleeper")
}

// unserved waits until the namespace has no proxy any more.
func (u *underFire) unserved() { u.wait("the namespace's proxy to be gone", u.noProxy) }
