//go:build !portable

package tcp

// Registered returns how many connections the loops wait for.
func (ls *Loops) Registered() (n int) {
	for _, l := range ls.loops {
		l.mu.Lock()
		n += len(l.slots) - 1 - len(l.free)
		l.mu.Unlock()
	}
	return n
}
