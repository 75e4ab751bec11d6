package target

import (
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
				b.Release()
			})
		})
	}
}
