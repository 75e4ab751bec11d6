//go:build skewed

package target

import (
	"math/rand/v2"
	"sync"
	"time"
)

// skew bounds how wrong a clock is, either way; stepMin and stepMax are how often it becomes wrong in another way.
const skew, stepMin, stepMax = 30 * time.Second, 20 * time.Second, 40 * time.Second

// now is a clock that is wrong, differently in each process, and steps both ways, as that of a machine might whose time
// service has lost its mind. A machine's own clock is that of all its processes, and cannot be had per container.
func now() time.Time { return wrong.now() }

var wrong skewed

type skewed struct {
	mu    sync.Mutex
	by    time.Duration
	until time.Time
}

func (s *skewed) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	right := time.Now()
	if right.After(s.until) {
		s.by = rand.N(2*skew) - skew
		s.until = right.Add(stepMin + rand.N(stepMax-stepMin))
	}
	return right.Add(s.by).UTC().Truncate(time.Millisecond)
}
