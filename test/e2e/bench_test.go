//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"tpa.dev/tpa/test/kit"
)

// TestBench proves the bench itself: without TPA the apps answer clients on every node. What fails here is none of TPA's.
func TestBench(t *testing.T) {
	f := setUpNamespace(t, false)
	web, postgres, redis := f.app("web", 2), kit.Postgres(f.ns), kit.Redis(f.ns)
	for _, app := range []kit.App{web, postgres, redis} {
		f.create(app.Deployment(), app.Service(nil))
	}
	f.ready("web", 2)
	f.reachable(address(f.service("web"), 80))
	for _, node := range cluster.Nodes {
		load := kit.StartLoad(f.ctx, kit.Load{From: node, Address: address(f.service("web"), 80), App: "web-", Clients: 4})
		f.wait("100 answers on "+node.Name, answers(load, 100))
		if tally := load.Stop(); tally.Failed() > 0 {
			t.Errorf("clients on %s: %s", node.Name, tally)
		}
	}
	f.wait("PostgreSQL to answer", succeeds(func() (string, error) { return f.psql(f.service("postgres")) }))
	f.wait("Redis to answer", succeeds(func() (string, error) { return f.redis(f.service("redis"), "PING") }))
	if out, err := f.psql(f.service("postgres")); err != nil || !strings.Contains(out, greeting) {
		t.Errorf("psql: %q, %v", out, err)
	}
	if out, err := f.redis(f.service("redis"), "PING"); err != nil || out != "PONG" {
		t.Errorf("redis-cli PING: %q, %v", out, err)
	}
}
