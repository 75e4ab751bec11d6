//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// writers are people and tools who write annotated Services all the time: each creates one, edits it, edits an Active
// one, deletes its own, and begins again. Nothing is tried twice in secret; a write that failed counts.
type writers struct {
	f      *fixture
	active string // the Active Service that all edit
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu    sync.Mutex
	tally written
}

// written is what became of every write.
type written struct {
	OK int
	// Refused counts the writes that the API server refused because TPA did not answer; Other failed otherwise.
	Refused, Other int
	// First and Last are when writes were refused.
	First, Last time.Time
	Slowest     time.Duration
	// Failures are the first few.
	Failures []string
}

func (w written) String() string {
	line := fmt.Sprintf("%d writes ok, %d refused, %d failed otherwise, slowest %s", w.OK, w.Refused, w.Other,
		w.Slowest.Round(time.Millisecond))
	if w.Refused > 0 {
		line += fmt.Sprintf(", refused for %.1fs", w.Last.Sub(w.First).Seconds())
	}
	return strings.Join(append([]string{line}, w.Failures...), "\n  ")
}

// edits are how often a writer edits its Service before it deletes it.
const edits = 4

// write starts so many writers. The app's Service is Active, theirs have the same target.
func (f *fixture) write(app kit.App, n int) *writers {
	f.Helper()
	ctx, stop := context.WithCancel(f.ctx)
	w := &writers{f: f, active: app.Name, stop: stop}
	for i := range n {
		service := app.Service(managed(app.Name, time.Hour))
		service.Name = fmt.Sprintf("written-%d", i)
		w.done.Go(func() { w.run(ctx, service) })
	}
	f.Cleanup(func() { stop(); w.done.Wait() })
	return w
}

// Stop lets every writer finish what it has begun, and returns the counts.
func (w *writers) Stop() written {
	w.stop()
	w.done.Wait()
	return w.Tally()
}

// Tally returns the counts so far.
func (w *writers) Tally() written {
	w.mu.Lock()
	defer w.mu.Unlock()
	tally := w.tally
	tally.Failures = append([]string(nil), tally.Failures...)
	return tally
}

// succeed looks whether so many more writes were carried out.
func (w *writers) succeed(more int) func(context.Context) (bool, string) {
	have := w.Tally().OK
	return func(context.Context) (bool, string) {
		tally := w.Tally()
		return tally.OK >= have+more, tally.String()
	}
}

func (w *writers) run(ctx context.Context, service *corev1.Service) {
	for ctx.Err() == nil {
		own := service.DeepCopy()
		if !w.once("create", own, func(ctx context.Context) error { return cluster.Create(ctx, own) }) {
			w.pause(ctx)
			continue
		}
		for n := range edits {
			for _, name := range []string{own.Name, w.active} {
				w.edit(name, n)
				w.pause(ctx)
			}
		}
		for !w.once("delete", nil, func(ctx context.Context) error { return cluster.Delete(ctx, own) }) && ctx.Err() == nil {
			w.pause(ctx)
		}
	}
}

// edit changes the idle time-out, as a person might.
func (w *writers) edit(name string, n int) {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.f.ns, Name: name}}
	idle := (time.Hour + time.Duration(n)*time.Minute).String()
	w.once("edit", s, func(ctx context.Context) error {
		return cluster.Patch(ctx, s, merge("annotations", contract.IdleTimeoutKey, idle))
	})
}

// once writes once. It is not broken off by Stop: each write that was begun counts. What the API server answers must be
// a Service that has been through admission, in one piece.
func (w *writers) once(what string, answer *corev1.Service, write func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	start := time.Now()
	err := write(ctx)
	if err == nil && answer != nil {
		err = admitted(answer)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.tally.OK++
		w.tally.Slowest = max(w.tally.Slowest, time.Since(start))
		return true
	}
	if unanswered(err) {
		w.tally.Refused++
		w.tally.Last = time.Now()
		if w.tally.Refused == 1 {
			w.tally.First = start
		}
	} else {
		w.tally.Other++
	}
	if len(w.tally.Failures) < 10 {
		w.tally.Failures = append(w.tally.Failures, fmt.Sprintf("%s %s: %v", start.Format("15:04:05.000"), what, err))
	}
	return false
}

func (w *writers) pause(ctx context.Context) {
	select {
	case <-time.After(10 * time.Millisecond):
	case <-ctx.Done():
	}
}

// admitted checks that a Service has a phase, and is rewritten if that phase says so and only then.
func admitted(s *corev1.Service) error {
	phase := contract.Phase(s.Annotations[contract.PhaseKey])
	if phase == "" || phase.Rewritten() != contract.IsProxySelector(s.Spec.Selector) {
		return fmt.Errorf("not as admission leaves it: %s", kit.Describe(s))
	}
	return nil
}

// unanswered reports whether the API server refused a write because TPA's webhook did not answer.
func unanswered(err error) bool {
	return apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed calling webhook")
}
