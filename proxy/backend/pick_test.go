package backend

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

const now = int64(1_000_000)

// backends makes one backend for each number of connections.
func backends(connections ...int64) []*Backend {
	var all []*Backend
	for i, n := range connections {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
		b := &Backend{addr: addr, hash: hashAddr(addr), connects: make(chan struct{}, maxConnects)}
		b.inFlight.Store(n)
		all = append(all, b)
	}
	return all
}

func TestLeastLoaded(t *testing.T) {
	for _, tc := range []struct {
		name           string
		connections    []int64
		refused, paced []int
		want           []int // one of these, and each of them from some start
	}{
		{"one", []int64{7}, nil, nil, []int{0}},
		{"one that refused", []int64{7}, []int{0}, nil, []int{0}},
		{"the idle one", []int64{5, 0, 3}, nil, nil, []int{1}},
		{"equals share", []int64{2, 1, 1, 2, 1}, nil, nil, []int{1, 2, 4}},
		{"a refusal weighs more than load", []int64{9, 0, 8}, []int{1}, nil, []int{2}},
		{"all refused: by load", []int64{2, 1, 2}, []int{0, 1, 2}, nil, []int{1}},
		{"a wait for a connect weighs more than load", []int64{900, 64}, nil, []int{1}, []int{0}},
		{"all have one wait: by load", []int64{90, 64}, nil, []int{0, 1}, []int{1}},
		{"rather wait than be refused", []int64{90, 0}, []int{1}, []int{0}, []int{0}},
		{"rather be refused at once than later", []int64{90, 64}, []int{0, 1}, []int{1}, []int{0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all := backends(tc.connections...)
			for _, i := range tc.refused {
				all[i].avoid.Store(now + 1)
			}
			for _, i := range tc.paced {
				for range maxConnects {
					all[i].connects <- struct{}{}
				}
			}
			picked := make(map[*Backend]bool)
			for start := range all {
				picked[leastLoaded(all, start, now)] = true
			}
			for _, i := range tc.want {
				if !picked[all[i]] {
					t.Errorf("backend %d is picked from no start", i)
				}
				delete(picked, all[i])
			}
			for b := range picked {
				t.Errorf("backend %s is picked", b.addr)
			}
		})
	}
}

// A backend that has just come gets the next connections, but never more connects than it can queue.
func TestNewcomerIsNotOverrun(t *testing.T) {
	all := backends(500, 500, 500, 0)
	newcomer := all[3]
	for range 10 * maxConnects { // none of the connects ends
		b := leastLoaded(all, 0, now)
		select {
		case b.connects <- struct{}{}:
			b.inFlight.Add(1)
		default:
		}
	}
	if n := newcomer.inFlight.Load(); n != maxConnects {
		t.Errorf("%d connects to the newcomer, want %d", n, maxConnects)
	}
	for _, b := range all[:3] {
		if n := b.inFlight.Load(); n != 500+maxConnects {
			t.Errorf("%d connections to one of the others, want %d: they were free", n, 500+maxConnects)
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
	for _, n := range []int{1, 8, 16, 100, 1000} {
		all := backends(make([]int64, n)...)
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

// Who refuses at once is tried again soon, who is silent costs few connections their time.
func TestAvoidanceAfterSilence(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: avoidFor, time.Millisecond: avoidFor, avoidFor: avoidTimes * avoidFor, connectTimeout: 15 * time.Second,
	} {
		if got := avoidance(took); got != want {
			t.Errorf("an attempt that took %s: %s, want %s", took, got, want)
		}
	}
}
