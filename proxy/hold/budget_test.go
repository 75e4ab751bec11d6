package hold

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBudget(t *testing.T) {
	b := NewBudget(2)
	for range 2 {
		if !b.Acquire() {
			t.Fatal("refused below the bound")
		}
	}
	if b.Acquire() {
		t.Fatal("accepted beyond the bound")
	}
	if b.Held() != 2 || b.Refused() != 1 {
		t.Errorf("held %d, refused %d; want 2, 1", b.Held(), b.Refused())
	}
	b.Release()
	if !b.Acquire() {
		t.Error("a place given back cannot be taken")
	}
	b.SetMax(1)
	b.Release()
	if b.Acquire() {
		t.Error("the lower bound does not count")
	}
	b.SetMax(0)
	for range 100 {
		if !b.Acquire() {
			t.Fatal("refused without a bound")
		}
	}
}

// TestShares: of several users, those that want all they can get have the same, and leave some for who comes next.
func TestShares(t *testing.T) {
	for _, tt := range []struct{ max, users, each int }{
		{1, 1, 1}, {2, 1, 2}, {9, 1, 9}, {90, 1, 81}, {9000, 1, 8001}, {9000, 2, 4236}, {9000, 10, 889}, {9000, 100, 90},
	} {
		b, has := NewBudget(tt.max), make([]int64, tt.users)
		for range tt.max {
			for i := range has {
				if b.AcquireShare(has[i]) {
					has[i]++
				}
			}
		}
		if got := slices.Min(has); int(got) < tt.each-1 || slices.Max(has)-got > 1 {
			t.Errorf("%d users of %d have %d to %d each, want %d", tt.users, tt.max, got, slices.Max(has), tt.each)
		}
		if tt.max > tt.each && !b.AcquireShare(0) {
			t.Errorf("%d users of %d leave nothing", tt.users, tt.max)
		}
	}
}

func TestNilBudgetHasNoBound(t *testing.T) {
	var b *Budget
	if !b.Acquire() || !b.AcquireShare(1) || b.Held() != 0 || b.Refused() != 0 {
		t.Error("a nil Budget must accept and count nothing")
	}
	b.Release()
}

func TestBudgetUnderContention(t *testing.T) {
	b := NewBudget(10)
	var now, most atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 10000 {
				if b.Acquire() {
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					now.Add(-1)
					b.Release()
				}
			}
		}()
	}
	wg.Wait()
	if most.Load() > 10 || b.Held() != 0 {
		t.Errorf("%d held at once, %d at the end", most.Load(), b.Held())
	}
}

func TestBudgetDoesNotAllocate(t *testing.T) {
	b := NewBudget(1)
	if n := testing.AllocsPerRun(100, func() { b.Acquire(); b.Release() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBudget(b *testing.B) {
	budget := NewBudget(1 << 20)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			budget.Acquire()
			budget.Release()
		}
	})
}
