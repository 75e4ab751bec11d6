package backend

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

const now = int64(1_000_000)

// backends makes one backend for each load; a negative load is that of one that refused lately.
func backends(loads ...int) []*Backend {
	var all []*Backend
	for i, load := range loads {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 80)
		b := &Backend{addr: addr, hash: hashAddr(addr), connects: make(chan struct{}, maxConnects)}
		if load < 0 {
			load = -load
			b.avoid.Store(now + 1)
		}
		b.inFlight.Store(int64(load))
		all = append(all, b)
	}
	return all
}

func TestLeastOfTwo(t *testing.T) {
	for _, tc := range []struct {
		name  string
		loads []int
		never []int // indexes that must not be picked
	}{
		{"one", []int{7}, nil},
		{"one that refused", []int{-7}, nil},
		{"two: always the idle one", []int{5, 0}, []int{0}},
		{"two: a refusal weighs more than load", []int{5, -1}, []int{1}},
		{"three: the busiest is never the lesser of two", []int{1, 9, 1}, []int{1}},
		{"three: two refused", []int{-1, -1, 9}, []int{0, 1}},
		{"all refused: by load", []int{-1, -2}, []int{1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all := backends(tc.loads...)
			picked := make(map[*Backend]int)
			for range 1000 {
				picked[leastOfTwo(all, netip.Addr{}, now)]++
			}
			for _, i := range tc.never {
				if n := picked[all[i]]; n > 0 {
					t.Errorf("backend %d was picked %d times", i, n)
				}
			}
			if want := len(all) - len(tc.never); len(picked) != want {
				t.Errorf("%d backends were picked, want %d", len(picked), want)
			}
		})
	}
}

func TestLeastOfTwoSpreads(t *testing.T) {
	all := backends(0, 0, 0, 0, 0, 0, 0, 0)
	for range 8000 {
		leastOfTwo(all, netip.Addr{}, now).inFlight.Add(1)
	}
	for i, b := range all {
		if n := b.inFlight.Load(); n < 990 || n > 1010 {
			t.Errorf("backend %d has %d of 8000 connections, want about 1000", i, n)
		}
	}
}

func TestRendezvous(t *testing.T) {
	all := backends(0, 0, 0, 0, 0)
	client := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)}) }
	const clients = 5000
	owner := make([]*Backend, clients)
	share := make(map[*Backend]int)
	for i := range clients {
		owner[i] = rendezvous(all, client(i), now)
		share[owner[i]]++
		if again := rendezvous(all, netip.AddrFrom16(client(i).As16()), now); again != owner[i] {
			t.Fatalf("client %s has another backend when written as IPv6", client(i))
		}
	}
	for i, b := range all {
		if n := share[b]; n < 850 || n > 1150 {
			t.Errorf("backend %d has %d of %d clients, want about 1000", i, n, clients)
		}
	}
	// One goes: only its clients move. It refuses: the same, and each of them to the same place.
	gone := all[2]
	rest := append(append([]*Backend{}, all[:2]...), all[3:]...)
	gone.avoid.Store(now + 1)
	for i := range clients {
		after := rendezvous(rest, client(i), now)
		if owner[i] != gone && after != owner[i] {
			t.Fatalf("client %s moved although its backend stayed", client(i))
		}
		if avoided := rendezvous(all, client(i), now); avoided != after {
			t.Fatalf("client %s goes to %s when %s refuses, and to %s when it is gone", client(i), avoided.addr, gone.addr, after.addr)
		}
	}
	// The choice is the same in every process and every version, or a rollout breaks affinity.
	if got, want := rendezvous(backends(0, 0, 0, 0, 0), netip.MustParseAddr("192.0.2.1"), now).addr.String(), "10.0.0.0:80"; got != want {
		t.Errorf("client 192.0.2.1 goes to %s, want %s", got, want)
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	for _, affinity := range []bool{false, true} {
		var p Pool
		p.SetAffinity(affinity)
		all, client := backends(1, 2, 3), netip.MustParseAddr("2001:db8::1")
		if n := testing.AllocsPerRun(100, func() { p.pick(all, client) }); n != 0 {
			t.Errorf("affinity %v: %v allocations", affinity, n)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	client := netip.MustParseAddr("192.0.2.1")
	for _, n := range []int{1, 3, 100} {
		all := backends(make([]int, n)...)
		for _, affinity := range []bool{false, true} {
			b.Run(fmt.Sprintf("backends=%d/affinity=%v", n, affinity), func(b *testing.B) {
				var p Pool
				p.SetAffinity(affinity)
				b.ReportAllocs()
				for b.Loop() {
					p.pick(all, client)
				}
			})
		}
	}
}

func TestAvoidance(t *testing.T) {
	b := backends(0)[0]
	b.avoid.Store(now + int64(avoidFor))
	for at, want := range map[int64]bool{now: true, now + int64(avoidFor) - 1: true, now + int64(avoidFor): false, now + int64(time.Hour): false} {
		if got := b.avoided(at); got != want {
			t.Errorf("avoided after %v: %v, want %v", time.Duration(at-now), got, want)
		}
	}
}
