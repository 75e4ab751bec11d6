//go:build e2e

package e2e

import (
	"testing"
	"time"

	"tpa.dev/tpa/proxy/contract"
)

// TestOptInAgain opts a Service in again before it is what it was. Connections that were made in between passed a proxy
// that did not count them then: it does now, and the target does not sleep under them.
func TestOptInAgain(t *testing.T) {
	f := setUp(t)
	d := &staged{fixture: f, app: f.app("web", 2)}
	d.restoring()
	trail := f.followDeployment("web")
	conn := f.open(d.to)
	f.annotate("web", contract.TargetKey, "web")
	d.in(contract.Active)
	d.allow()
	reply := f.ask(conn)
	f.must(trail.Never(f.ctx, 3*idle, "scaled to 0 under an open connection", 0, atZero))
	if again := f.ask(conn); again.Client != reply.Client {
		t.Errorf("the connection led to %+v, then to %+v", reply, again)
	}
	end := time.Now()
	conn.Close()
	f.sleepsInTime(trail, 0, idle, end)
}
