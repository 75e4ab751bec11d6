package status

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/view"
)

const (
	// defaultEvery is how often the API server is read at most, while somebody looks.
	defaultEvery = 5 * time.Second
	// rests is for how many times as long as reading took it is not read again: of a large cluster the page is older,
	// instead of the API server being asked all the time.
	rests = 4
	// readTimeout bounds one reading, patience how long a viewer waits for it.
	readTimeout = 2 * time.Minute
	patience    = 8 * time.Second
)

// errReading is why there is nothing to show yet.
var errReading = errors.New("the Services are still being read")

// Snapshot is how all Services stood at one time.
type Snapshot struct {
	At           time.Time
	Explanations []view.Explanation
	// Saved is what did not run, of all targets; Observed what would not have, had TPA done more than observe.
	Saved, Observed contract.Saved
}

// Source reads how Services stand when somebody asks, one reading for all who ask, and not more often than Every.
type Source struct {
	// Read is required.
	Read func(context.Context) ([]*view.Namespace, error)
	// Every is 5s if it is 0.
	Every time.Duration

	flight singleflight.Group
	mu     sync.Mutex
	last   *Snapshot
	err    error // of the last reading
	next   time.Time
}

// Snapshot returns the latest snapshot, which may be nil; with it, the error of a reading that failed since. It waits no longer
// than ctx for a new one.
func (s *Source) Snapshot(ctx context.Context) (*Snapshot, error) {
	if last, fresh, err := s.known(); fresh {
		return last, err
	}
	read := s.flight.DoChan("", func() (any, error) {
		if _, fresh, _ := s.known(); !fresh { // another flight may have ended meanwhile
			s.read()
		}
		return nil, nil
	})
	select {
	case <-read:
	case <-ctx.Done():
	}
	last, _, err := s.known()
	if last == nil && err == nil {
		err = errReading
	}
	return last, err
}

func (s *Source) known() (last *Snapshot, fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, time.Now().Before(s.next), s.err
}

// read reads once. Who asked first may be gone before it ends; others wait for it, too.
func (s *Source) read() {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	began := time.Now()
	snapshot, err := s.look(ctx, began)
	every := s.Every
	if every <= 0 {
		every = defaultEvery
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	if err == nil {
		s.last = snapshot
	}
	s.next = time.Now().Add(max(every, rests*time.Since(began)))
}

// look reads what there is. A panic is an error: it would end the process, which has more important things to do.
func (s *Source) look(ctx context.Context, now time.Time) (snapshot *Snapshot, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("read the Services: panic: %v\n%s", r, debug.Stack())
		}
	}()
	namespaces, err := s.Read(ctx)
	if err != nil {
		return nil, err
	}
	snapshot = &Snapshot{At: now.UTC()}
	for _, n := range namespaces {
		snapshot.Explanations = append(snapshot.Explanations, n.ExplainAll()...)
	}
	snapshot.Saved, snapshot.Observed = saved(snapshot.Explanations, now)
	return snapshot, nil
}

// saved is what did not run and what would not have, of each target once: several Services may share one.
func saved(explanations []view.Explanation, now time.Time) (saved, observed contract.Saved) {
	type key struct {
		namespace string
		target    contract.Target
	}
	seen := map[key]bool{}
	for _, e := range explanations {
		for _, t := range e.Targets {
			k := key{e.Namespace, t.Target}
			past, known := t.Past(now)
			if !known || seen[k] {
				continue
			}
			seen[k] = true
			saved, observed = saved.Plus(past.Saved), observed.Plus(past.Observed.Saved)
		}
	}
	return saved, observed
}
