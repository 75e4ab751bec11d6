package load

import (
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// saturate sends the next message over a connection as soon as one has come back.
func saturate(job Job) (Result, error) {
	f, err := newFleet(job.Address, job.Conns)
	if err != nil {
		return Result{}, err
	}
	defer f.close()
	for _, c := range f.conns {
		if err := c.send(0); err != nil {
			return Result{}, err
		}
	}
	w, done := newWindow(job), 0
	for {
		now := time.Now()
		counts, err := w.counts(now)
		if err != nil {
			return Result{}, err
		}
		if w.over(now) {
			return w.result(float64(done))
		}
		err = f.receive(patience, func(c *echoed, _ time.Duration) error {
			if counts {
				done++
			}
			return c.send(0)
		})
		if err != nil {
			return Result{}, err
		}
	}
}

// open sends messages at times that do not depend on when others come back, with gaps of a Poisson process, over one
// connection after the other. A message is as late as it comes back after it was due: that it could not be sent in time
// counts, too.
func open(job Job) (Result, error) {
	f, err := newFleet(job.Address, job.Conns)
	if err != nil {
		return Result{}, err
	}
	defer f.close()
	if err := wakeInTime(); err != nil {
		return Result{}, err
	}
	var (
		random = rand.New(rand.NewPCG(job.Seed, 0))
		gap    = func() time.Duration { return time.Duration(random.ExpFloat64() / job.Rate * float64(time.Second)) }
		end    = job.Warm + job.For
		start  = time.Now()
		due    = gap()
		times  []time.Duration
	)
	back := func(_ *echoed, due time.Duration) error {
		if due >= job.Warm {
			times = append(times, time.Since(start)-due)
		}
		return nil
	}
	for i := 0; ; {
		now := time.Since(start)
		for ; due <= now && due < end; i++ {
			if err := f.conns[i%job.Conns].send(due); err != nil {
				return Result{}, err
			}
			due += gap()
		}
		wait := due - now
		if due >= end {
			if f.awaited() == 0 {
				return Result{Units: float64(len(times)), Wall: job.For, Latency: latencyOf(times)}, nil
			}
			wait = end + patience - now
		}
		if now > end+patience {
			return Result{}, fmt.Errorf("%d messages have not come back after %s", f.awaited(), patience)
		}
		if err := f.receive(max(0, wait), back); err != nil {
			return Result{}, err
		}
	}
}

// wakeInTime has the kernel wake this thread when it asked for, and not up to 50 µs later.
func wakeInTime() error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	return nil
}
