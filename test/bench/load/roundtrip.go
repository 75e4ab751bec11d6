package load

import (
	"time"

	"golang.org/x/sys/unix"
)

func roundTrip(job Job) (Result, error) {
	fd, err := dial(job.Address)
	if err != nil {
		return Result{}, err
	}
	defer unix.Close(fd)
	var (
		times []time.Duration
		w     = newWindow(job)
	)
	for n := uint64(0); ; n++ {
		start := time.Now()
		counts, err := w.counts(start)
		if err != nil {
			return Result{}, err
		}
		if w.over(start) {
			break
		}
		if counts {
			start = time.Now() // reading the clocks of others took a while
		}
		if err := exchange(fd, n); err != nil {
			return Result{}, err
		}
		if counts {
			times = append(times, time.Since(start))
		}
	}
	r, err := w.result(float64(len(times)))
	r.Latency = latencyOf(times)
	return r, err
}

func connect(job Job) (Result, error) {
	w := newWindow(job)
	done := 0
	for n := uint64(0); ; n++ {
		now := time.Now()
		counts, err := w.counts(now)
		if err != nil {
			return Result{}, err
		}
		if w.over(now) {
			return w.result(float64(done))
		}
		if err := connectOnce(job.Address, n); err != nil {
			return Result{}, err
		}
		if counts {
			done++
		}
	}
}

func connectOnce(address string, n uint64) error {
	fd, err := dial(address)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return exchange(fd, n)
}
