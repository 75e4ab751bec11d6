package ports

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
)

func at(second int) time.Time { return time.Unix(int64(second), 0) }

// first makes the free port of the lowest number the random one.
func first(int) int { return 0 }

func TestAllocate(t *testing.T) {
	for _, tt := range []struct {
		name     string
		services []Service
		busy     map[int32]bool
		want     map[types.UID]contract.Ports
	}{
		{name: "nothing", want: map[types.UID]contract.Ports{}},
		{
			name:     "all is well",
			services: []Service{{UID: "a", Wanted: []int32{80}, Has: contract.Ports{80: 20005}}},
			want:     map[types.UID]contract.Ports{},
		},
		{
			name:     "new",
			services: []Service{{UID: "a", Wanted: []int32{80, 443}}},
			want:     map[types.UID]contract.Ports{"a": {80: 20000, 443: 29999}},
		},
		{
			name:     "two new ones in one pass",
			services: []Service{{UID: "a", Wanted: []int32{80}}, {UID: "b", Wanted: []int32{80}}},
			want:     map[types.UID]contract.Ports{"a": {80: 20000}, "b": {80: 29999}},
		},
		{
			name:     "a port more",
			services: []Service{{UID: "a", Wanted: []int32{80, 81}, Has: contract.Ports{80: 20000}}},
			want:     map[types.UID]contract.Ports{"a": {80: 20000, 81: 20001}},
		},
		{
			name:     "a port less",
			services: []Service{{UID: "a", Wanted: []int32{80}, Has: contract.Ports{80: 20000, 81: 20001}}},
			want:     map[types.UID]contract.Ports{"a": {80: 20000}},
		},
		{
			name:     "a port that a proxy still listens on is not handed out",
			services: []Service{{UID: "a", Wanted: []int32{80}}},
			busy:     map[int32]bool{20000: true, 20001: true},
			want:     map[types.UID]contract.Ports{"a": {80: 20002}},
		},
		{
			name:     "nor is one that its own Service has just given up",
			services: []Service{{UID: "a", Wanted: []int32{81}, Has: contract.Ports{80: 20000}}},
			busy:     map[int32]bool{20000: true},
			want:     map[types.UID]contract.Ports{"a": {81: 20001}},
		},
		{
			name: "of two with one port the older keeps it",
			services: []Service{
				{UID: "a", Created: at(2), Wanted: []int32{80}, Has: contract.Ports{80: 20007}},
				{UID: "b", Created: at(1), Wanted: []int32{80}, Has: contract.Ports{80: 20007}},
			},
			want: map[types.UID]contract.Ports{"a": {80: 20000}},
		},
		{
			name: "of the same age: the lower UID",
			services: []Service{
				{UID: "b", Wanted: []int32{80}, Has: contract.Ports{80: 20007}},
				{UID: "a", Wanted: []int32{80}, Has: contract.Ports{80: 20007}},
			},
			want: map[types.UID]contract.Ports{"b": {80: 20000}},
		},
		{
			name: "one that is being deleted keeps its own and gets no more",
			services: []Service{
				{UID: "a", Frozen: true, Wanted: []int32{80, 81}, Has: contract.Ports{80: 20000}},
				{UID: "b", Wanted: []int32{80}},
			},
			want: map[types.UID]contract.Ports{"b": {80: 20001}},
		},
		{
			name:     "an unreadable annotation is written anew, even if nothing is in it",
			services: []Service{{UID: "a", Changes: true}},
			want:     map[types.UID]contract.Ports{"a": {}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, full := Allocate(tt.services, tt.busy, first)
			if diff := cmp.Diff(tt.want, got); diff != "" || len(full) > 0 {
				t.Errorf("(-want +got)\n%s full: %v", diff, full)
			}
		})
	}
}

func TestAllocateUntilFull(t *testing.T) {
	const size = contract.PortMax - contract.PortMin + 1
	var services []Service
	for i := range size + 3 {
		services = append(services, Service{UID: types.UID(fmt.Sprintf("%05d", i)), Wanted: []int32{80}})
	}
	changed, full := Allocate(services, nil, rand.IntN)
	seen := map[int32]bool{}
	for uid, p := range changed {
		if seen[p[80]] || !contract.InPortRange(p[80]) {
			t.Fatalf("%s got %v", uid, p)
		}
		seen[p[80]] = true
	}
	if len(changed) != size || len(full) != 3 {
		t.Fatalf("%d got a port and %d none, want %d and 3", len(changed), len(full), size)
	}
}

// Whatever the Services look like: after one pass every port has its own proxy port, and a second pass changes nothing.
func TestAllocateSettles(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		var services []Service
		for i := range 1 + r.IntN(8) {
			s := Service{UID: types.UID(fmt.Sprint(i)), Created: at(r.IntN(3)), Has: contract.Ports{}}
			for range r.IntN(4) {
				if port := int32(1 + r.IntN(6)); !slices.Contains(s.Wanted, port) {
					s.Wanted = append(s.Wanted, port)
				}
				s.Has[int32(1+r.IntN(6))] = int32(contract.PortMin + r.IntN(6))
			}
			services = append(services, s)
		}
		changed, full := Allocate(services, nil, r.IntN)
		if len(full) > 0 {
			t.Fatalf("seed %d: no port left for %v", seed, full)
		}
		used := map[int32]types.UID{}
		for i, s := range services {
			if p, ok := changed[s.UID]; ok {
				services[i].Has = p
			}
			for port, slot := range services[i].Has {
				if other, twice := used[slot]; twice {
					t.Fatalf("seed %d: %s and %s have %d", seed, s.UID, other, slot)
				}
				used[slot] = s.UID
				if !slices.Contains(s.Wanted, port) {
					t.Fatalf("seed %d: %s has a slot for %d, wanted %v", seed, s.UID, port, s.Wanted)
				}
			}
			if len(services[i].Has) != len(s.Wanted) {
				t.Fatalf("seed %d: %s: %v for %v", seed, s.UID, services[i].Has, s.Wanted)
			}
		}
		if again, _ := Allocate(services, nil, r.IntN); len(again) > 0 {
			t.Fatalf("seed %d: changed again: %v", seed, again)
		}
	}
}

func TestOf(t *testing.T) {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{UID: "u", Annotations: map[string]string{contract.PortsKey: "80:20001"}}}
	svc.Spec.Ports = []corev1.ServicePort{{Port: 80}, {Port: 53, Protocol: corev1.ProtocolUDP}, {Port: 443, Protocol: corev1.ProtocolTCP}}
	got := Of(svc)
	if !slices.Equal(got.Wanted, []int32{80, 443}) || !maps.Equal(got.Has, contract.Ports{80: 20001}) || got.Changes {
		t.Errorf("%+v", got)
	}
	if _, ok := Complete(svc); ok {
		t.Error("complete without a slot for 443")
	}
	svc.Annotations[contract.PortsKey] = "80:20001,443:20002"
	if p, ok := Complete(svc); !ok || p[443] != 20002 {
		t.Error("not complete", p)
	}
	svc.Annotations[contract.PortsKey] = "80:1"
	if got := Of(svc); !got.Changes || len(got.Has) > 0 {
		t.Errorf("%+v", got)
	}
}
