package load

import (
	"os"
	"time"

	"tpa.dev/tpa/test/bench/meter"
)

// window is the time in which a job counts. Everything is read by the client itself, at the moment that it begins and ends
// to count.
type window struct {
	job         Job
	opens, ends time.Time
	opened      bool
	began       time.Time
	before      Result
}

func newWindow(job Job) *window {
	opens := time.Now().Add(job.Warm)
	return &window{job: job, opens: opens, ends: opens.Add(job.For)}
}

// counts reports whether what happens now is counted. It is false at first, then true until over.
func (w *window) counts(now time.Time) (bool, error) {
	if w.opened || now.Before(w.opens) {
		return w.opened, nil
	}
	w.opened = true
	var err error
	w.before, err = w.read()
	w.began = time.Now()
	return true, err
}

func (w *window) over(now time.Time) bool { return !now.Before(w.ends) }

// result is what was used since the window opened.
func (w *window) result(units float64) (Result, error) {
	wall := time.Since(w.began)
	after, err := w.read()
	return Result{
		Units: units, Wall: wall, Proxy: after.Proxy - w.before.Proxy, All: after.All - w.before.All,
	}, err
}

func (w *window) read() (r Result, err error) {
	if r.Proxy, err = meter.CPU(w.job.Proxy...); err != nil {
		return r, err
	}
	others, err := meter.CPU(append([]int{os.Getpid()}, w.job.Server...)...)
	r.All = r.Proxy + others
	return r, err
}
