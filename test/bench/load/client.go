package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// Work does the jobs that come in, one after the other, and writes a Result for each, until there are no more.
func Work(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1) // what a job leaves behind is collected before the next one
	jobs, results := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var job Job
		if err := jobs.Decode(&job); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a job: %w", err)
		}
		result, err := do(job)
		if err != nil {
			result = Result{Error: err.Error()}
		}
		runtime.GC()
		if err := results.Encode(result); err != nil {
			return fmt.Errorf("write a result: %w", err)
		}
	}
}

func do(job Job) (Result, error) {
	switch job.Kind {
	case Bulk:
		return bulk(job)
	case RoundTrip:
		return roundTrip(job)
	case Connect:
		return connect(job)
	case Saturate:
		return saturate(job)
	case Open:
		return open(job)
	case Hold:
		return hold(job)
	case Answers:
		return answers(job)
	}
	return Result{}, fmt.Errorf("unknown kind of job %q", job.Kind)
}
