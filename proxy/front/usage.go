package front

import (
	"iter"
	"time"
)

// conns are connections in the order in which they were accepted. The zero value has none.
type conns struct {
	first, last *conn
	n           int
}

func (l *conns) add(c *conn) {
	c.before = l.last
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
	l.n++
}

// remove removes one that was added.
func (l *conns) remove(c *conn) {
	if c.before == nil {
		l.first = c.next
	} else {
		c.before.next = c.next
	}
	if c.next == nil {
		l.last = c.before
	} else {
		c.next.before = c.before
	}
	c.before, c.next = nil, nil
	l.n--
}

// all returns each, the oldest first. None may be added or removed meanwhile.
func (l *conns) all() iter.Seq[*conn] {
	return func(yield func(*conn) bool) {
		for c := l.first; c != nil; c = c.next {
			if !yield(c) {
				return
			}
		}
	}
}

// Connection is one that keeps its target awake, or wakes it.
type Connection struct {
	Client
	// Since is when it was accepted.
	Since time.Time
}

// maxLooked is how many connections Oldest looks at: of those that were accepted first, all may be silent.
const maxLooked = 1000

// Oldest returns up to n connections that count as use of the target, or wait for it, those that have been open longest. It looks
// at no more than a thousand.
func (s *Service) Oldest(n int) []Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Connection
	looked := 0
	for c := range s.conns.all() {
		if looked++; len(found) == n || looked > maxLooked {
			break
		}
		if c.uses.Load() {
			found = append(found, Connection{Client{c.client.Remote(), c.port.number.Load()}, c.since})
		}
	}
	return found
}
