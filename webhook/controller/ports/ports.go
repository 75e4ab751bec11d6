// Package ports hands out the proxy's ports: one of TPA's range for each TCP port of each managed Service of a namespace.
//
//	changed, full := ports.Allocate(services, busy, rand.IntN)
//	changed[uid] // the Service's new allocation; Services that are well as they are do not occur
//
// It is pure. What it is given decides how safe it is: the caller lists the namespace live, because two Services that
// are allocated from two stale views may end up with one port. The proxies notice that and acknowledge only one of them.
package ports

import (
	"cmp"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
)

// Service is what Allocate needs to know of a managed Service.
type Service struct {
	UID     types.UID
	Created time.Time
	// Wanted are the numbers of its TCP ports.
	Wanted []int32
	// Has is its allocation so far.
	Has contract.Ports
	// Changes says that Has is not what the Service's annotation says word by word, so that it must be written anew.
	Changes bool
	// Frozen keeps its ports to itself and gets no new ones: it is being deleted.
	Frozen bool
}

// Of describes a Service. An allocation that cannot be read counts as none.
func Of(svc *corev1.Service) Service {
	s := Service{UID: svc.UID, Created: svc.CreationTimestamp.Time, Frozen: svc.DeletionTimestamp != nil}
	for _, port := range svc.Spec.Ports {
		if port.Protocol == corev1.ProtocolTCP || port.Protocol == "" {
			s.Wanted = append(s.Wanted, port.Port)
		}
	}
	has, err := contract.ParsePorts(svc.Annotations[contract.PortsKey])
	s.Has, s.Changes = has, err != nil
	return s
}

// Complete reports whether each TCP port of a Service has its proxy port.
func Complete(svc *corev1.Service) (contract.Ports, bool) {
	s := Of(svc)
	for _, port := range s.Wanted {
		if _, ok := s.Has[port]; !ok {
			return nil, false
		}
	}
	return s.Has, len(s.Wanted) > 0
}

// Allocate returns the new allocation of each Service whose allocation must change, and the Services for which no port
// was left. busy are ports that nobody owns and that must not be handed out yet, because a proxy still listens on them
// for an earlier owner: a node that has not heard of the change would send its connections to the new one.
//
// Allocations of ports that a Service has no more are dropped. Of two Services with one port the older keeps it.
func Allocate(services []Service, busy map[int32]bool, intn func(int) int) (changed map[types.UID]contract.Ports, full []types.UID) {
	services = slices.Clone(services)
	slices.SortFunc(services, func(a, b Service) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.UID, b.UID))
	})
	changed = map[types.UID]contract.Ports{}
	used := map[int32]bool{}
	kept := make([]contract.Ports, len(services))
	for i, s := range services {
		kept[i] = contract.Ports{}
		for _, port := range slices.Sorted(maps.Keys(s.Has)) {
			slot := s.Has[port]
			if s.Frozen || slices.Contains(s.Wanted, port) && !used[slot] {
				kept[i][port], used[slot] = slot, true
			}
		}
	}
	var free []int32 // made when it is needed: nearly always nothing is to do
	for i, s := range services {
		if s.Frozen {
			continue
		}
		for _, port := range s.Wanted {
			if _, ok := kept[i][port]; ok {
				continue
			}
			if free == nil {
				free = freeSlots(used, busy)
			}
			if len(free) == 0 {
				full = append(full, s.UID)
				break
			}
			n := intn(len(free))
			kept[i][port] = free[n]
			free[n] = free[len(free)-1]
			free = free[:len(free)-1]
		}
		if s.Changes || !maps.Equal(kept[i], s.Has) {
			changed[s.UID] = kept[i]
		}
	}
	return changed, full
}

func freeSlots(used, busy map[int32]bool) []int32 {
	free := make([]int32, 0, contract.PortMax-contract.PortMin+1)
	for slot := int32(contract.PortMin); slot <= contract.PortMax; slot++ {
		if !used[slot] && !busy[slot] {
			free = append(free, slot)
		}
	}
	return free
}
