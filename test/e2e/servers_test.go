//go:build e2e

package e2e

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"tpa.dev/tpa/test/kit"
)

// TestServers wakes real servers with their real clients, twice: what works once may live on what the first time left.
func TestServers(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		f := setUp(t)
		s := f.start(kit.Postgres(f.ns), idle)
		f.eachWake("postgres", func() {
			if out, err := f.psql(s); err != nil || out != greeting {
				t.Errorf("psql: %q, %v; want %q", out, err, greeting)
			}
		})
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		f := setUp(t)
		s := f.start(kit.Redis(f.ns), idle)
		f.eachWake("redis", func() {
			// This server keeps nothing, so it is a new one each time.
			if out, err := f.redis(s, "INCR", "visits"); err != nil || out != "1" {
				t.Errorf("redis-cli INCR: %q, %v; want 1", out, err)
			}
			if out, err := f.redis(s, "INCR", "visits"); err != nil || out != "2" {
				t.Errorf("redis-cli INCR again: %q, %v; want 2", out, err)
			}
		})
	})
}

// eachWake calls do each time that a Deployment is asleep, twice, and checks that this woke it.
func (f *fixture) eachWake(name string, do func()) {
	f.Helper()
	var trail *kit.Trail[*appsv1.Deployment]
	for range 2 {
		f.asleep(name)
		if trail == nil {
			trail = f.followDeployment(name)
		}
		from := trail.Len()
		do()
		f.woken(trail, from)
	}
}
