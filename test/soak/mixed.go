package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tpa.dev/tpa/test/soak/fault"
)

const (
	// together is how many faults last at a time when they are mixed.
	together = 2
	// longest bounds how long one of them lasts, so that there are many.
	longest = 30 * time.Second
	// backWithin is how long it may take until all is normal after the last one.
	backWithin = 5 * time.Minute
)

// mixture draws faults at random, so that no two are on one subject at a time.
type mixture struct {
	mu     sync.Mutex
	r      *rand.Rand
	faults []fault.Fault
	on     []fault.Subject
}

// newMixture draws from all faults but those that only a cluster which is well otherwise gets over.
func newMixture(seed uint64) *mixture {
	all := slices.DeleteFunc(fault.All(), func(f fault.Fault) bool { return f.Alone })
	return &mixture{r: rand.New(rand.NewPCG(seed, 1<<33)), faults: all}
}

// draw returns a fault, and for how long it shall be followed by none.
func (m *mixture) draw() (fault.Fault, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	may := slices.DeleteFunc(slices.Clone(m.faults), func(f fault.Fault) bool { return slices.Contains(m.on, f.On) })
	f := may[m.r.IntN(len(may))]
	m.on = append(m.on, f.On)
	return f, time.Duration(m.r.Int64N(int64(10 * time.Second)))
}

func (m *mixture) done(f fault.Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on = slices.Delete(m.on, slices.Index(m.on, f.On), slices.Index(m.on, f.On)+1)
}

// mixed has faults strike for a while, two at a time, and waits until all is normal again.
func (t *trials) mixed(ctx context.Context, length time.Duration) row {
	wait(ctx, calm)
	r := t.begin(fault.Fault{Name: "mixed"})
	striking, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	m := newMixture(t.o.seed)
	var (
		slots sync.WaitGroup
		mu    sync.Mutex
		n     int
		errs  []error
	)
	for range together {
		slots.Go(func() {
			for striking.Err() == nil {
				f, pause := m.draw()
				fmt.Printf("soak: %s %s: %s\n", time.Now().Format("15:04:05.000"), f.Name, f.What)
				// A strike that another fault keeps from happening is none. What is left after it is not normal.
				err := t.run(ctx, f, min(f.For, longest))
				fmt.Printf("soak: %s %s is over: %v\n", time.Now().Format("15:04:05.000"), f.Name, err)
				m.done(f)
				mu.Lock()
				if n++; errors.Is(err, errHeal) {
					errs = append(errs, err)
				}
				mu.Unlock()
				wait(striking, pause)
			}
		})
	}
	slots.Wait()
	r.What = fmt.Sprintf("%d of these within %s, two at a time", n, length)
	r.err = errors.Join(append(errs, t.normal(ctx, r, backWithin))...)
	return t.end(r)
}
