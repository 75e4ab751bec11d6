//go:build e2e

package e2e

import (
	"io"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// startNoTraffic is start for a Service whose silent connections do not count.
func (f *fixture) startNoTraffic(app kit.App, idle time.Duration) *corev1.Service {
	f.Helper()
	annotations := managed(app.Name, idle)
	annotations[contract.IdleWhenKey] = "no-traffic"
	f.create(app.Deployment(), app.Service(annotations))
	s := f.active(app.Name)
	f.reachable(address(s, 80))
	return s
}

// TestSilentConnection has one connection speak often enough to keep its target awake, speak once more when its proxy has
// given up its claim, and then say nothing: it ends in good order when the target sleeps, the idle time-out after its last
// byte.
func TestSilentConnection(t *testing.T) {
	f := setUp(t)
	s := f.startNoTraffic(f.app("web", 1), idle)
	f.proxied(address(s, 80))
	trail := f.followDeployment("web")

	from := trail.Len()
	conn := f.open(address(s, 80))
	reply := f.ask(conn)
	var end time.Time
	for _, pause := range []time.Duration{idle / 2, idle / 2, idle / 2, idle / 2, idle / 2, idle / 2, idle - idle/4} {
		f.must(trail.Never(f.ctx, pause, "scaled to 0 under a connection that speaks", from, atZero))
		end = time.Now()
		if again := f.ask(conn); again.Pod != reply.Pod || again.Client != reply.Client {
			t.Errorf("the connection led to %+v, then to %+v", reply, again)
		}
	}
	f.sleepsInTime(trail, from, idle, end)
	f.endsCleanly(conn)
	f.asleep("web")

	if again := f.askOnce(address(s, 80)); again.Pod == reply.Pod {
		t.Errorf("%s answered before it slept and after", again.Pod)
	}
}

// TestSilentDatabaseConnection leaves a connection of a pool open. What its server would say about being shut down, an error
// at the next query, is not what the pool gets to see.
func TestSilentDatabaseConnection(t *testing.T) {
	f := setUp(t)
	s := f.startNoTraffic(kit.Postgres(f.ns), idle)
	f.asleep("postgres")
	trail := f.followDeployment("postgres")

	from := trail.Len()
	conn := f.open(address(s, 80))
	f.must(conn.SetDeadline(time.Now().Add(answerWithin)))
	_, err := io.WriteString(conn, "\x00\x00\x00\x17\x00\x03\x00\x00user\x00postgres\x00\x00") // the protocol's StartupMessage
	f.must(err)
	f.readyForQuery(conn)
	from = f.woken(trail, from)
	f.must(trail.Never(f.ctx, 3*idle/4, "scaled to 0 under a connection that was just used", from, atZero))
	end := time.Now()
	_, err = io.WriteString(conn, "Q\x00\x00\x00\x0eSELECT 1;\x00")
	f.must(err)
	f.readyForQuery(conn)
	f.sleepsInTime(trail, from, idle, end)
	f.endsCleanly(conn)
	if out, err := f.psql(s); err != nil || out != greeting {
		t.Errorf("psql after the sleep: %q, %v; want %q", out, err, greeting)
	}
}

// readyForQuery reads what a PostgreSQL server says until it is ready for a query.
func (f *fixture) readyForQuery(conn *kit.Conn) {
	f.Helper()
	for kind := byte(0); kind != 'Z'; {
		var head [5]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			f.Fatalf("PostgreSQL's next message: %v", err)
		}
		kind = head[0]
		if _, err := io.CopyN(io.Discard, conn, int64(head[3])<<8+int64(head[4])-4); err != nil {
			f.Fatalf("PostgreSQL's message %q: %v", kind, err)
		}
	}
}

// endsCleanly waits for the end of a connection, which must come without a byte and without a reset.
func (f *fixture) endsCleanly(conn *kit.Conn) {
	f.Helper()
	f.must(conn.SetDeadline(time.Now().Add(late)))
	if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
		f.Fatalf("the silent connection ended with %q and %v, want neither", rest, err)
	}
}
