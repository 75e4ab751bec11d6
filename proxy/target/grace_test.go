package target

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// a is idle for long; b has a connection that was dialed unclaimed during an outage. When the server is back, nobody may
// put the target to sleep under it.
func TestGraceAfterAnOutage(t *testing.T) {
	for offset := time.Duration(0); offset < 16*time.Second; offset += 100 * time.Millisecond {
		t.Run(fmt.Sprint(offset), func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				a, b := c.proxy("a"), c.proxy("b")
				_ = a
				after(idle - time.Second) // a is about to sleep
				c.intercept(refused)
				took, err := b.acquire(time.Minute)
				if err != nil {
					t.Fatal(took, err)
				}
				after(time.Minute + offset)
				c.intercept(nil)
				after(20 * time.Second)
				wantReplicas(t, c, 3)
				b.Release(time.Now())
			})
		})
	}
}

// The same, when a wants to sleep right after the outage and had nothing to ask during it: its watches have noticed. b
// claims within two seconds, which a must not use.
func TestGraceAfterAnOutageThatOnlyTheWatchesNoticed(t *testing.T) {
	for offset := time.Duration(0); offset < 6*time.Second; offset += 50 * time.Millisecond {
		t.Run(fmt.Sprint(offset), func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				var reach Reach
				c.proxy("a", func(config *Config) { config.Lost = reach.Lost })
				b := c.proxy("b")
				after(idle - 6*time.Second)
				c.intercept(refused)
				if _, err := reach.Wrap(answer{errors.New("connection refused")}).RoundTrip(nil); err == nil {
					t.Fatal("the watch is answered")
				}
				if took, err := b.acquire(time.Minute); err != nil {
					t.Fatal(took, err)
				}
				after(offset)
				c.intercept(nil)
				after(20 * time.Second)
				wantReplicas(t, c, 3)
				b.Release(time.Now())
				after(idle + time.Minute) // which is no reason to stay awake for ever
				wantReplicas(t, c, 0, 0)
			})
		})
	}
}
