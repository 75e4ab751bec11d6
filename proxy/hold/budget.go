package hold

import "sync/atomic"

// Budget bounds how many connections are held at once. A nil or zero Budget has no bound. Safe for use by many.
type Budget struct {
	max     atomic.Int64
	held    atomic.Int64
	refused atomic.Int64
}

// NewBudget returns a Budget for max connections; 0 means no bound.
func NewBudget(max int) *Budget {
	b := new(Budget)
	b.SetMax(max)
	return b
}

// SetMax changes the bound, 0 for none. Places already taken stay taken.
func (b *Budget) SetMax(max int) { b.max.Store(int64(max)) }

// Acquire takes a place, or counts a refusal and returns false if there is none. It never waits.
func (b *Budget) Acquire() bool {
	if b == nil {
		return true
	}
	if limit := b.max.Load(); b.held.Add(1) > limit && limit > 0 {
		b.held.Add(-1)
		b.refused.Add(1)
		return false
	}
	return true
}

// Release gives a place back.
func (b *Budget) Release() {
	if b != nil {
		b.held.Add(-1)
	}
}

// Held returns how many places are taken.
func (b *Budget) Held() int64 {
	if b == nil {
		return 0
	}
	return b.held.Load()
}

// Refused returns how many times there was no place.
func (b *Budget) Refused() int64 {
	if b == nil {
		return 0
	}
	return b.refused.Load()
}
