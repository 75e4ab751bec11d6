package kit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// Snapshot is a Service as its user wrote it, to compare with what TPA leaves behind.
type Snapshot struct {
	// Spec is the JSON of the whole spec.
	Spec string
	// Keys are the labels and annotations that TPA writes, in order.
	Keys []string
}

// Snap takes a Snapshot.
func Snap(s *corev1.Service) Snapshot {
	spec, err := json.MarshalIndent(s.Spec, "", "  ")
	if err != nil {
		panic(err) // strings and integers always encode
	}
	snapshot := Snapshot{Spec: string(spec)}
	for _, key := range []string{contract.PhaseKey, contract.PortsKey, contract.OriginalKey} {
		if _, ok := s.Annotations[key]; ok {
			snapshot.Keys = append(snapshot.Keys, key)
		}
	}
	if _, ok := s.Labels[contract.ManagedLabel]; ok {
		snapshot.Keys = append(snapshot.Keys, contract.ManagedLabel)
	}
	slices.Sort(snapshot.Keys)
	return snapshot
}

// Restored compares a Service with what it was: byte for byte the same spec, and nothing of TPA's left on it.
func (before Snapshot) Restored(s *corev1.Service) error {
	now := Snap(s)
	if len(now.Keys) > 0 {
		return fmt.Errorf("service %s still carries %s", s.Name, strings.Join(now.Keys, ", "))
	}
	if now.Spec != before.Spec {
		return fmt.Errorf("service %s is not what it was (-was +is):\n%s", s.Name, cmp.Diff(before.Spec, now.Spec))
	}
	return nil
}
