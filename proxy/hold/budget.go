package hold

import "sync/atomic"

// share is how often what is free goes into what one of several users may have. Alone, one gets 8 of 9 places, and
// whoever comes next still finds some; n that want all get 8 of 8n+1 places each. The rule is that of memory in shared
// packet switches: Choudhury and Hahne, "Dynamic queue length thresholds", IEEE/ACM ToN 6 (1998).
const share = 8

// Budget bounds how many connections there are at once. A nil or zero Budget has no bound. Safe for use by many.
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

// AcquireShare is Acquire for one of several users, who has some places already: it also refuses the one that has more than
// a fair share, so that no user can take what the others need.
func (b *Budget) AcquireShare(has int64) bool {
	if !b.Acquire() {
		return false
	}
	if b == nil {
		return true
	}
	if limit := b.max.Load(); limit > 0 && has >= share*(limit-b.held.Load()+1) {
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

// Max returns the bound, 0 for none.
func (b *Budget) Max() int64 { return b.max.Load() }

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
