package kit

import (
	"context"
	"fmt"
	"time"
)

// pollEvery is far below any time that is waited for, and far above what a look costs.
const pollEvery = 50 * time.Millisecond

// Wait looks again and again until look says that it is so. The error tells what was waited for and what was seen last.
func Wait(ctx context.Context, within time.Duration, what string, look func(context.Context) (ok bool, seen string)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	start := time.Now()
	last := "nothing"
	for {
		ok, seen := look(ctx)
		if ok {
			return nil
		}
		if ctx.Err() == nil {
			last = seen // and not that the last look was broken off
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return fmt.Errorf("waited %.1fs for %s; last seen: %s", time.Since(start).Seconds(), what, last)
		}
	}
}
