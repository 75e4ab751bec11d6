package target

import (
	"context"
	"errors"
	"testing"
	"time"

	"tpa.dev/tpa/proxy/sleep"
)

// TestNobodyWaitsForATurnButWhoNobodyWaitsFor: while others have all turns, a Keeper writes only what a connection needs.
func TestNobodyWaitsForATurnButWhoNobodyWaitsFor(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		turns := make(chan struct{}, 1)
		taken := func(config *Config) { config.Turns = turns }
		turns <- struct{}{}
		p := c.proxy("a", taken)
		after(time.Minute)
		if c.lease() != nil {
			t.Error("a Lease that nobody waits for is written out of turn")
		}
		p.mustAcquire()
		p.Release(time.Now())
		after(3 * idle)
		if claim := c.state().Claims["a"]; !claim.Active() {
			t.Error("the claim is given up out of turn")
		}
		if !p.open() {
			t.Error("the gate is closed although the claim is held until the turn comes")
		}
		<-turns
		after(3 * idle)
		wantPhase(t, c, sleep.Asleep)
		turns <- struct{}{}
		p.mustAcquire()
		wantPhase(t, c, sleep.Awake)
		wantReplicas(t, c, 3, 0, 3)
		p.Release(time.Now())
		<-turns
	})
}

// TestASleepThatHasBegunWaitsForNoTurn: everybody holds while it lasts. It begins in a turn, meets an error, and goes on while
// somebody else has the turn.
func TestASleepThatHasBegunWaitsForNoTurn(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		turns := make(chan struct{}, 1)
		c.proxy("a", func(config *Config) { config.Turns = turns })
		c.intercept(func(_ context.Context, call string) error {
			if call != "update scale" {
				return nil
			}
			c.intercept(nil)
			go func() { turns <- struct{}{} }()
			return errors.New("connection refused")
		})
		after(2 * idle)
		if len(turns) == 0 {
			t.Fatal("nobody has the turn")
		}
		wantPhase(t, c, sleep.Asleep)
	})
}

// TestWaitingForATurnEndsWithTheKeeper: a proxy that ends does not wait.
func TestWaitingForATurnEndsWithTheKeeper(t *testing.T) {
	bubble(t, 3, func(t *testing.T, c *cluster) {
		turns := make(chan struct{}, 1)
		turns <- struct{}{}
		p := c.proxy("a", func(config *Config) { config.Turns = turns })
		p.stop()
		after(time.Second)
		select {
		case <-p.ended:
		default:
			t.Error("it still waits")
		}
	})
}
